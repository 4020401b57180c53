import { cpSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, expect, test } from 'vitest'
import type { LogEntry } from '#compose.ts'
import { reloadContracts } from '#compose-contracts.ts'
import { openContracts } from '#contracts/live-set.ts'
import { HubError } from '#kernel/errors.ts'

const ROOT = join(import.meta.dirname, '../..')
let root = ''

beforeEach(() => {
  root = mkdtempSync(join(tmpdir(), 'live-'))
  for (const folder of ['contracts', 'schemas']) cpSync(join(ROOT, folder), join(root, folder), { recursive: true })
})
afterEach(() => rmSync(root, { recursive: true }))

function edit(file: string, from: string, to: string): void {
  const text = readFileSync(join(root, file), 'utf8')
  if (!text.includes(from)) throw new RangeError(`${file} has no ${from}`)
  writeFileSync(join(root, file), text.replace(from, to))
}

test('a reload puts the whole new set in force, and its digest tells', () => {
  const live = openContracts(root)
  const before = live.digest
  expect(live.reload()).toMatchObject({ kind: 'unchanged', digest: before })
  edit('contracts/delivery-ack.yaml', 'maxAge: P7D', 'maxAge: P6D')
  const reloaded = live.reload()
  expect(reloaded).toMatchObject({ kind: 'changed', digest: live.digest })
  expect(live.digest).not.toBe(before)
  expect(live.get('delivery-ack@1')?.maxAgeSeconds).toBe(6 * 86_400)
})

test('a faulty reload keeps the former set whole, and logs and counts every fault', () => {
  const live = openContracts(root)
  const before = { digest: live.digest, refs: live.list().map(({ ref }) => ref) }
  edit('contracts/delivery-ack.yaml', 'maxAge: P7D', 'maxAge: P6D')
  edit('contracts/approval-result.yaml', 'sub: /affairNo', 'sub: /nothing')
  edit('schemas/non-delivery/1.0.0.json', '"$id": "non-delivery/1.0.0.json"', '"$id": "x"')
  const entries: LogEntry[] = []
  const outcomes: string[] = []
  const reload = () =>
    reloadContracts(live, { contractsReloaded: (outcome) => outcomes.push(outcome) }, (entry) => entries.push(entry))
  expect(reload()).toBe(false)
  expect({ digest: live.digest, refs: live.list().map(({ ref }) => ref) }).toEqual(before)
  expect(live.get('delivery-ack@1')?.maxAgeSeconds).toBe(7 * 86_400)
  expect(entries.map(({ level, fields }) => [level, fields?.['pointer'] ?? fields?.['faults']])).toEqual([
    ['error', 'schemas/non-delivery/1.0.0.json#/$id'],
    ['error', 'contracts/approval-result.yaml#/sub'],
    ['error', 2],
  ])
  edit('contracts/approval-result.yaml', 'sub: /nothing', 'sub: /affairNo')
  edit('schemas/non-delivery/1.0.0.json', '"$id": "x"', '"$id": "non-delivery/1.0.0.json"')
  expect(reload()).toBe(true)
  expect(outcomes).toEqual(['failed', 'changed'])
  expect(live.get('delivery-ack@1')?.maxAgeSeconds).toBe(6 * 86_400)
})

test('a set that fails what this process requires of it does not come into force', () => {
  const live = openContracts(root)
  const requireWeek = (set: { get(ref: string): { maxAgeSeconds: number } | undefined }): void => {
    if (set.get('delivery-ack@1')?.maxAgeSeconds !== 7 * 86_400) throw new HubError('connector.invalid')
  }
  live.require(requireWeek)
  edit('contracts/delivery-ack.yaml', 'maxAge: P7D', 'maxAge: P6D')
  expect(live.reload()).toMatchObject({ kind: 'failed', error: { code: 'connector.invalid' } })
  expect(live.get('delivery-ack@1')?.maxAgeSeconds).toBe(7 * 86_400)
  expect(() => openContracts(root).require(requireWeek)).toThrow(HubError)
})

test('a folder that cannot be read fails the reload, not the process', () => {
  const live = openContracts(root)
  rmSync(join(root, 'contracts'), { recursive: true })
  expect(live.reload()).toMatchObject({ kind: 'failed', error: { code: 'hub.internal' } })
  expect(live.get('delivery-ack@1')).toBeDefined()
})

test('a start with faulty contracts ends in one error that lists every fault', () => {
  edit('contracts/approval-result.yaml', 'sub: /affairNo', 'sub: /nothing')
  edit('contracts/delivery-ack.yaml', 'kind: notice', 'kind: message')
  try {
    openContracts(root)
    expect.unreachable()
  } catch (error) {
    if (!(error instanceof HubError)) throw error
    expect(error.code).toBe('contract.set_invalid')
    expect(error.violations.map(({ pointer }) => pointer)).toEqual([
      'contracts/approval-result.yaml#/sub',
      'contracts/delivery-ack.yaml#/kind',
    ])
  }
})
