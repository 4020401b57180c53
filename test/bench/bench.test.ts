import { execFile } from 'node:child_process'
import path from 'node:path'
import { promisify } from 'node:util'
import { describe, expect, inject, test } from 'vitest'

const MAIN = path.join(import.meta.dirname, 'main.ts')

/** Each bench starts servers of its own, on a machine that may be busy with other tests. */
const LIMIT_MS = 150_000

const postgres = inject('postgres')
const cause = process.platform !== 'linux' ? 'Linux' : 'missing' in postgres ? postgres.missing : undefined

async function lastLine(name: string): Promise<Record<string, unknown>> {
  const { stdout } = await promisify(execFile)(process.execPath, [MAIN, name, '--json', '--seconds', '1'], {
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

  test('start tells both starts, the idle memory and the demo', { timeout: LIMIT_MS }, async () => {
    const report = await lastLine('start')
    expect(report).toMatchObject({ bench: 'start', ok: true })
    const names = ['firstStartMs', 'secondStartMs', 'idleMb', 'demoMs']
    expect(report['figures']).toMatchObject(Object.fromEntries(names.map((name) => [name, positive])))
  })
})

test('an unknown bench is a usage error that lists the benches', async () => {
  const call = promisify(execFile)(process.execPath, [MAIN, 'nothing'])
  await expect(call).rejects.toMatchObject({ code: 2, stderr: expect.stringContaining('floor|accept|start') })
})
