import { readdirSync } from 'node:fs'
import { readFile } from 'node:fs/promises'
import path from 'node:path'
import { Ajv2020 } from 'ajv/dist/2020.js'
import { describe, expect, it } from 'vitest'
import { testConnector } from '#connect/fixtures.ts'
import { connectorFolders, isLookUp } from '#connect/folders.ts'
import { loadLookUpManifest } from '#connect/lookup-manifest.ts'
import { loadManifest } from '#connect/manifest.ts'
import { loadContracts } from '#contracts/load.ts'
import type { JsonObject } from '#kernel/json.ts'

const root = path.join(import.meta.dirname, '../..')
const contracts = loadContracts(root)
const folders = readdirSync(path.join(root, 'connectors'), { withFileTypes: true })
  .filter((entry) => entry.isDirectory())
  .map((entry) => entry.name)

it('both utilities have a connector, and the library of licences and the identity service a look-up', async () => {
  const { sinks, lookUps } = await connectorFolders(path.join(root, 'connectors'))
  const named = (list: readonly string[]): string[] => list.map((folder) => path.basename(folder)).toSorted()
  expect(named(sinks)).toEqual(['inner-mongolia-power-marketing', 'state-grid-east-marketing'])
  expect(named(lookUps)).toEqual(['identity-service', 'licence-library'])
})

it('both utilities can take in whatever is routed to the utility of a case or of a division', async () => {
  const sent = contracts.list().flatMap(({ ref, routing }) => {
    return routing.some(({ to }) => to === 'case-utility' || to === 'division-utility') ? [ref] : []
  })
  expect(sent.length).toBeGreaterThan(8)
  const { sinks } = await connectorFolders(path.join(root, 'connectors'))
  for (const folder of sinks) {
    const mapped = Object.keys((await loadManifest(folder)).contracts)
    expect([folder, sent.filter((ref) => !mapped.includes(ref))]).toEqual([folder, []])
  }
})

describe.each(folders)('connector %s', (folder) => {
  const directory = path.join(root, 'connectors', folder)

  it('passes its own fixtures, with at least one for every contract', async () => {
    const results = await testConnector(directory)
    expect(results.length).toBeGreaterThan(1)
    expect(results.filter((result) => result.problems.length > 0)).toEqual([])
  })

  it('starts its fixtures from data that the schemas accept', async () => {
    const ajv = new Ajv2020({ strict: false, validateFormats: false })
    for (const { file, contract, data } of await testConnector(directory)) {
      const schemaFile = path.join(root, 'schemas', String(contracts.get(contract)?.schema))
      const schema = JSON.parse(await readFile(schemaFile, 'utf8')) as JsonObject
      const validate = ajv.getSchema(String(schema['$id'])) ?? ajv.compile(schema)
      expect([file, validate(data), validate.errors]).toEqual([file, true, null])
    }
  })

  it('is named after its folder and explains itself in at most twenty lines', async () => {
    const load = (await isLookUp(directory)) ? loadLookUpManifest : loadManifest
    expect((await load(directory)).id).toBe(folder)
    const readme = await readFile(path.join(directory, 'README.md'), 'utf8')
    expect(readme.trimEnd().split('\n').length).toBeLessThanOrEqual(20)
  })
})
