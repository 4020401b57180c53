import { execFile } from 'node:child_process'
import path from 'node:path'
import { promisify } from 'node:util'
import { describe, expect, inject, test } from 'vitest'
import { needsKafkaJars } from '../support/kafka.ts'

const MAIN = path.join(import.meta.dirname, 'main.ts')

/** Each bench starts servers of its own, on a machine that may be busy with other tests. */
const LIMIT_MS = 150_000

const postgres = inject('postgres')
const cause = process.platform !== 'linux' ? 'Linux' : 'missing' in postgres ? postgres.missing : undefined

async function lastLine(name: string, ...more: readonly string[]): Promise<Record<string, unknown>> {
  const args = [MAIN, name, '--json', '--seconds', '1', ...more]
  const { stdout } = await promisify(execFile)(process.execPath, args, {
    timeout: LIMIT_MS,
    env: { PATH: process.env['PATH'] },
  })
  return JSON.parse(stdout.trimEnd().split('\n').at(-1) ?? '') as Record<string, unknown>
}

const positive = expect.toSatisfy((value: unknown) => typeof value === 'number' && value > 0)

describe.skipIf(cause !== undefined)(`the benches${cause === undefined ? '' : ` (need ${cause})`}`, () => {
  test('floor tells what a bare process costs and what each part costs alone', { timeout: LIMIT_MS }, async () => {
    const report = await lastLine('floor')
    expect(report).toMatchObject({ bench: 'floor', ok: true, perSecond: positive, floorUs: positive })
    expect(report['figures']).toMatchObject({ verifyNative: positive, verifyJose: positive, joseRatio: positive })
  })

  test('accept tells the ratio to the bare process and where the time went', { timeout: LIMIT_MS }, async () => {
    const report = await lastLine('accept')
    const figures = { bench: 'accept', ok: true, perSecond: positive, p50Ms: positive, p99Ms: positive }
    expect(report).toMatchObject({ ...figures, floorUs: positive, cpuUs: positive })
    expect(report['ratio']).toBeGreaterThan(0.1)
    expect(report['ratio']).toBeLessThan(1.5)
    const shares = Object.values(report['shares'] as Record<string, number>)
    expect(shares).toHaveLength(4)
    expect(shares.reduce((sum, share) => sum + share, 0)).toBeCloseTo(1, 1)
  })

  test('validate tells what schema and rules cost beside bare ajv, at most four times', {
    timeout: LIMIT_MS,
  }, async () => {
    const report = await lastLine('validate')
    expect(report).toMatchObject({ bench: 'validate', ok: true, perSecond: positive, floorUs: positive })
    expect(report['figures']).toMatchObject({ schemaShare: positive, rulesShare: positive })
    expect(report['ratio']).toBeLessThanOrEqual(4)
  })

  test('accept takes several gateways for one', { timeout: LIMIT_MS }, async () => {
    const report = await lastLine('accept', '--processes', '2')
    expect(report).toMatchObject({ ok: true, perSecond: positive, figures: { processes: 2 } })
  })

  test('endpoints tells what a dead one costs the others, and a failing key the other keys', {
    timeout: LIMIT_MS,
  }, async () => {
    const report = await lastLine('endpoints')
    const names = ['deadEndpointCpuRatio', 'deadEndpointClockRatio', 'failingKeyCpuRatio', 'failingKeyClockRatio']
    expect(report).toMatchObject({ bench: 'endpoints', ok: true, perSecond: positive })
    expect(report['figures']).toMatchObject(Object.fromEntries(names.map((name) => [name, positive])))
  })

  needsKafkaJars('with a broker of their own', () => {
    test('deliver tells what comes through to the acknowledgement, beside acceptance alone', {
      timeout: LIMIT_MS,
    }, async () => {
      const report = await lastLine('deliver')
      const figures = { perSecond: positive, p50Ms: positive, p99Ms: positive, ratio: positive }
      expect(report).toMatchObject({ bench: 'deliver', ok: true, ...figures })
      expect(report['figures']).toMatchObject({ acceptPerSecond: positive, halfP99Ms: positive })
    })
  })

  test('fetch tells the same of signed queries over stored documents', { timeout: LIMIT_MS }, async () => {
    const report = await lastLine('fetch')
    const figures = { bench: 'fetch', ok: true, perSecond: positive, p50Ms: positive, p99Ms: positive }
    expect(report).toMatchObject({ ...figures, floorUs: positive, cpuUs: positive, figures: { documents: positive } })
    expect(report['ratio']).toBeGreaterThan(0.1)
    expect(report['ratio']).toBeLessThan(1.5)
  })

  test('load tells rows a second and the memory, by batch and by rows[]', { timeout: LIMIT_MS }, async () => {
    const report = await lastLine('load')
    const figures = { batchRowsPerSecond: positive, rowsPerSecond: positive, lastMb: positive }
    expect(report).toMatchObject({ bench: 'load', ok: true, perSecond: positive, figures })
    const { batchCpuUs, rowsCpuUs } = report['figures'] as Record<string, number>
    expect(rowsCpuUs).toBeLessThan(batchCpuUs ?? 0)
  })

  test('neighbour tells what the others notice of a flood that is turned away', { timeout: LIMIT_MS }, async () => {
    const report = await lastLine('neighbour', '--allowance', '20')
    const figures = { p99Ratio: positive, p99BeforeMs: positive, floodLimited: positive, allowance: 20 }
    expect(report).toMatchObject({ bench: 'neighbour', ok: true, p99Ms: positive, figures })
  })

  test('start tells both starts, the idle memory and the demo', { timeout: LIMIT_MS }, async () => {
    const report = await lastLine('start')
    expect(report).toMatchObject({ bench: 'start', ok: true })
    const names = ['firstStartMs', 'secondStartMs', 'idleMb', 'demoMs']
    expect(report['figures']).toMatchObject(Object.fromEntries(names.map((name) => [name, positive])))
  })
})

test('an unknown bench is a usage error that lists the benches', async () => {
  const call = promisify(execFile)(process.execPath, [MAIN, 'nothing'])
  await expect(call).rejects.toMatchObject({
    code: 2,
    stderr: expect.stringContaining('floor|accept|deliver|endpoints|fetch|load|grow|neighbour|start'),
  })
})

test.each([
  ['processes', ['accept', '--processes', '0']],
  ['an allowance', ['neighbour', '--allowance', 'many']],
])('a number of %s that makes no sense is a usage error', async (_what, args) => {
  const call = promisify(execFile)(process.execPath, [MAIN, ...args])
  await expect(call).rejects.toMatchObject({ code: 2, stderr: expect.stringContaining('usage') })
})
