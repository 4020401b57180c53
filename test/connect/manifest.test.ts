import { cp, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises'
import os from 'node:os'
import path from 'node:path'
import { expect, it, onTestFinished } from 'vitest'
import { testConnector } from '#connect/fixtures.ts'
import { loadManifest } from '#connect/manifest.ts'
import { loadMappings } from '#connect/mapping.ts'

const rest = path.join(import.meta.dirname, 'rest-marketing')
const soap = path.join(import.meta.dirname, '../../connectors/state-grid-east-marketing')

/** A copy of a good connector whose manifest was changed. */
async function changed(change: (yaml: string) => string, template = rest): Promise<string> {
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
  const { retry } = await loadManifest(rest)
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

it('a system that does not recognise a repeated message needs a look-up', async () => {
  const missing = { code: 'connector.invalid', violations: [{ pointer: '/confirm', rule: 'manifest.confirm-missing' }] }
  const withoutKey = await changed((yaml) => yaml.replace('effectKeyHeader: idempotency-key\n', ''))
  await expect(loadManifest(withoutKey)).rejects.toMatchObject(missing)
  const withoutDuplicate = await changed((yaml) => yaml.replace(/duplicate:\n.*\n.*\n/, ''))
  await expect(loadManifest(withoutDuplicate)).rejects.toMatchObject(missing)
  const withoutLookUp = await changed((yaml) => yaml.replace(/confirm:\n(?: .*\n)+/, ''), soap)
  await expect(loadManifest(withoutLookUp)).rejects.toMatchObject(missing)
  const tellsDuplicates = await changed(
    (yaml) => yaml.replace(/confirm:\n(?: .*\n)+/, '').replace('INVALID: rejected', 'TWICE: duplicate'),
    soap,
  )
  await expect(loadManifest(tellsDuplicates)).resolves.toMatchObject({ transport: 'soap' })
})

it('fields of the other transport, and transports that do not exist, are faults', async () => {
  const operation = await changed((yaml) => yaml.replaceAll(/path: .*/g, 'operation: submit'))
  await expect(loadManifest(operation)).rejects.toMatchObject({ code: 'connector.invalid' })
  const method = await changed((yaml) => yaml.replace('operation: queryMessage', 'method: POST'), soap)
  await expect(loadManifest(method)).rejects.toMatchObject({ code: 'connector.invalid' })
  const ftp = await changed((yaml) => yaml.replace('transport: soap', 'transport: ftp'), soap)
  const error: unknown = await loadManifest(ftp).catch((thrown: unknown) => thrown)
  expect(error).toMatchObject({
    violations: expect.arrayContaining([expect.objectContaining({ pointer: '/transport' })]),
  })
})

it('a SOAP fixture fails when element, order, namespace or text differ, and not for prefixes or indentation', async () => {
  const problemsWith = async (change: (xml: string) => string): Promise<number> => {
    const directory = await changed((yaml) => yaml, soap)
    const file = path.join(directory, 'fixtures/approval-result.xml')
    await writeFile(file, change(await readFile(file, 'utf8')))
    return (await testConnector(directory)).flatMap((result) => result.problems).length
  }
  expect(await problemsWith((xml) => xml.replaceAll('soapenv', 'e').replaceAll(/>\s+</g, '><'))).toBe(0)
  expect(await problemsWith((xml) => xml.replace('/v1"', '/v2"'))).toBe(1)
  expect(await problemsWith((xml) => xml.replace('PASS', 'PASS '))).toBe(1)
  expect(await problemsWith((xml) => xml.replace(/(<itemCode>.*)\n\s+(<itemName>.*)/, '$2$1'))).toBe(1)
  expect(await problemsWith((xml) => xml.replace('<itemName>', '<itemName lang="zh">'))).toBe(1)
  expect(await problemsWith(() => 'no XML')).toBe(1)
})

it('a look-up without a fixture makes the folder faulty, and one that is read otherwise fails', async () => {
  const directory = await changed((yaml) => yaml.replace('equals: [NOT_FOUND]', 'equals: [UNKNOWN]'), soap)
  const problems = (await testConnector(directory)).flatMap((result) => result.problems)
  expect(problems).toContainEqual(expect.stringContaining('expected absent, got unclear'))
  const file = path.join(directory, 'fixtures/power-application.json')
  const { confirm: _, ...without } = JSON.parse(await readFile(file, 'utf8')) as { confirm: unknown }
  await writeFile(file, JSON.stringify(without))
  await expect(testConnector(directory)).rejects.toThrow('no fixture for power-application@1')
})
