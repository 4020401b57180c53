import { Ajv2020 } from 'ajv/dist/2020.js'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import type { Json, JsonObject } from '#kernel/json.ts'
import { withDatabase } from '../support/database.ts'
import { type Answer, at, HUB_URL } from '../support/hub.ts'
import { CASES, NDJSON, openWorld, type World } from './openapi-cases.ts'

const list = Object.entries(CASES).flatMap(([operation, cases]) =>
  Object.entries(cases).map(([status, ask]) => ({ operation, status: Number(status), ask })),
)

interface Operation {
  readonly id: string
  readonly method: string
  readonly path: string
  readonly value: JsonObject
}

function operationsOf(document: JsonObject): Operation[] {
  return Object.entries(document['paths'] as JsonObject).flatMap(([path, item]) =>
    Object.entries(item as JsonObject).map(([method, value]) => ({
      id: String((value as JsonObject)['operationId']),
      method,
      path,
      value: value as JsonObject,
    })),
  )
}

withDatabase('the OpenAPI document', (databaseUrl) => {
  let world: World
  let document: JsonObject
  let operations: Operation[]
  let ajv: Ajv2020
  beforeAll(async () => {
    world = await openWorld(databaseUrl)
    document = (await world.hub.request('/openapi.json')).json
    operations = operationsOf(document)
    // `example` is OpenAPI's own word beside JSON Schema; the document itself is the base of its references.
    ajv = new Ajv2020({ strict: true, strictTypes: false, formats: { uuid: /^[0-9a-f-]{36}$/ } })
    ajv.addVocabulary(['example', 'components', 'openapi', 'info', 'servers', 'paths', 'webhooks', 'tags'])
    ajv.addSchema(document, 'openapi')
  })
  afterAll(async () => {
    await world.hub.close()
    await world.line.cut()
  })

  test('it is OpenAPI 3.1 with one id for each operation', () => {
    expect(document['openapi']).toMatch(/^3\.1\.\d+$/)
    expect(at(document, 'info', 'title')).toBeTypeOf('string')
    expect(at(document, 'info', 'version')).toBeTypeOf('string')
    expect(at(document, 'servers', 0, 'url')).toBe(HUB_URL)
    expect(new Set(operations.map(({ id }) => id)).size).toBe(operations.length)
    for (const { id, method, path, value } of operations) {
      expect(id).toMatch(/^[a-z][A-Za-z]+$/)
      expect(['get', 'post', 'put', 'delete', 'patch']).toContain(method)
      expect(path).toMatch(/^\//)
      expect(value['summary']).toMatch(/[\u4e00-\u9fff].*[A-Za-z]/u)
    }
  })

  test('the parameters of each path are declared and required', () => {
    for (const { id, path, value } of operations) {
      const parameters = (value['parameters'] ?? []) as unknown as JsonObject[]
      const named = [...path.matchAll(/\{([^}]+)\}/g)].map(([, name]) => name)
      expect(
        parameters.filter((one) => one['in'] === 'path').map(({ name }) => name),
        id,
      ).toEqual(named)
      for (const one of parameters) {
        expect(['path', 'query', 'header']).toContain(one['in'])
        if (one['in'] === 'path') expect(one['required']).toBe(true)
        expect(() => ajv.compile(one['schema'] as JsonObject), `${id} ${String(one['name'])}`).not.toThrow()
      }
    }
  })

  test('each response has a description and schemas that compile, each reference leads somewhere', () => {
    for (const { id, value } of operations) {
      const responses = Object.entries(value['responses'] as JsonObject)
      expect(responses.length, id).toBeGreaterThan(0)
      for (const [status, response] of responses) {
        expect(status).toMatch(/^[1-5]\d\d$/)
        expect(at(response, 'description'), `${id} ${status}`).toMatch(/./)
      }
    }
    for (const pointer of references(document)) {
      expect(at(document, ...pointer.slice(2).split('/')), pointer).toBeTypeOf('object')
    }
    for (const name of Object.keys(at(document, 'components', 'schemas') as JsonObject)) {
      expect(() => ajv.compile({ $ref: `openapi#/components/schemas/${name}` }), name).not.toThrow()
    }
  })

  test('what asks for a request token names a security scheme that exists', () => {
    const schemes = Object.keys(at(document, 'components', 'securitySchemes') as JsonObject)
    const secured = operations.filter(({ value }) => value['security'] !== undefined)
    expect(secured.map(({ id }) => id).toSorted()).toEqual([
      'compareSchemas',
      'getCase',
      'getExchange',
      'getFile',
      'proveKey',
      'pullInbox',
      'pushPlain',
      'putFile',
      'validateData',
    ])
    for (const { value } of secured) {
      for (const one of value['security'] as unknown as JsonObject[]) expect(schemes).toContain(Object.keys(one)[0])
    }
  })

  test('every declared operation and status has a case below, and no case is of one that is not declared', () => {
    const declared = operations.flatMap(({ id, value }) =>
      Object.keys(value['responses'] as JsonObject).map((status) => `${id} ${status}`),
    )
    expect(list.map(({ operation, status }) => `${operation} ${status}`).toSorted()).toEqual(declared.toSorted())
  })

  describe('each declared status is given, in the declared media type and shape', () => {
    test.each(list)('$operation $status', async ({ operation, status, ask }) => {
      const answer = await ask(world)
      expect(answer.status, answer.text).toBe(status)
      const found = operations.find(({ id }) => id === operation)
      const type = answer.headers.get('content-type') ?? ''
      const pointer = ['responses', String(status), 'content', type, 'schema']
      expect(at(found?.value, ...pointer), `${type} is declared`).toBeTypeOf('object')
      const path = ['paths', String(found?.path), String(found?.method), ...pointer]
      const reference = `openapi#/${path.map((part) => encodeURIComponent(part.replaceAll('~', '~0').replaceAll('/', '~1'))).join('/')}`
      const validate = ajv.compile({ $ref: reference })
      for (const body of bodiesOf(type, answer)) {
        expect(validate(body), JSON.stringify(validate.errors)).toBe(true)
      }
    })
  })
})

/** The values of a body: each line of NDJSON, the JSON, or the text. */
function bodiesOf(type: string, answer: Answer): Json[] {
  if (type === NDJSON)
    return answer.text
      .trimEnd()
      .split('\n')
      .map((line) => JSON.parse(line) as Json)
  return [/[/+]json$/.test(type) ? answer.json : answer.text]
}

function references(value: Json | undefined): string[] {
  if (typeof value !== 'object' || value === null) return []
  return Object.entries(value).flatMap(([name, member]) =>
    name === '$ref' && typeof member === 'string' ? [member] : references(member as Json),
  )
}
