import { cp, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises'
import os from 'node:os'
import path from 'node:path'
import { expect, it, onTestFinished } from 'vitest'
import { testConnector } from '#connect/fixtures.ts'
import { loadManifest } from '#connect/manifest.ts'
import { loadMappings } from '#connect/mapping.ts'

const template = path.join(import.meta.dirname, '../../connectors/state-grid-east-marketing')

/** A copy of a good connector whose manifest was changed. */
async function changed(change: (yaml: string) => string): Promise<string> {
  const directory = await mkdtemp(path.join(os.tmpdir(), 'connector-'))
  onTestFinished(() => rm(directory, { recursive: true }))
  await cp(template, directory, { recursive: true })
  const file = path.join(directory, 'connector.yaml')
  await writeFile(file, change(await readFile(file, 'utf8')))
  return directory
}

it('a key that the manifest format does not know is an error', async () => {
  const directory = await changed((yaml) => yaml.replace('onDead: block', 'onDeath: block'))
  await expect(loadManifest(directory)).rejects.toMatchObject({
    code: 'connector.invalid',
    violations: [{ rule: 'manifest.unrecognized_keys' }],
  })
})

it('all faults of a manifest are named at once, each with its place', async () => {
  const directory = await changed((yaml) =>
    yaml.replace('timeoutMs: 10000', 'timeoutMs: 0').replace('onDead: block', 'onDead: perhaps'),
  )
  const error: unknown = await loadManifest(directory).catch((thrown: unknown) => thrown)
  expect(error).toMatchObject({ violations: [{ pointer: '/endpoint/timeoutMs' }, { pointer: '/onDead' }] })
})

it('a manifest that is missing or no YAML is an error that names the file', async () => {
  await expect(loadManifest('/nowhere')).rejects.toMatchObject({ code: 'connector.invalid' })
  const directory = await changed(() => 'id: [')
  await expect(loadManifest(directory)).rejects.toThrow('connector.yaml')
})

it('without a schedule of its own a connector retries nine times over about 28 hours', async () => {
  const { retry } = await loadManifest(template)
  expect(retry.scheduleMs).toHaveLength(9)
  expect(retry.scheduleMs.reduce((sum, step) => sum + step) / 3_600_000).toBeCloseTo(27.7, 1)
})

it('a mapping that does not parse is an error when the connector is loaded', async () => {
  const directory = await changed((yaml) => yaml)
  await writeFile(path.join(directory, 'approval-result.jsonata'), '{ "a": ')
  const manifest = await loadManifest(directory)
  await expect(loadMappings(directory, manifest)).rejects.toMatchObject({ code: 'connector.invalid' })
})

it('a fixture fails when the mapping makes another request than it expects', async () => {
  const directory = await changed((yaml) => yaml)
  const file = path.join(directory, 'approval-result.jsonata')
  await writeFile(file, (await readFile(file, 'utf8')).replace('"PASS"', '"OK"'))
  const results = await testConnector(directory)
  expect(results.filter((result) => result.problems.length > 0).map((result) => result.file)).toEqual([
    'approval-result.json',
  ])
})

it('a fixture fails when an answer is read otherwise than it expects', async () => {
  const directory = await changed((yaml) => yaml.replace('equals: [DUPLICATE]', 'equals: [TWICE]'))
  const results = await testConnector(directory)
  expect(results.flatMap((result) => result.problems)).toContainEqual(
    expect.stringContaining('expected duplicate, got dead'),
  )
})

it('a contract without a fixture makes the folder faulty', async () => {
  const directory = await changed((yaml) => yaml)
  await rm(path.join(directory, 'fixtures/power-application.json'))
  await expect(testConnector(directory)).rejects.toThrow('no fixture for power-application@1')
})
