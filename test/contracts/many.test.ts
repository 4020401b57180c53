import { cpSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { lintContracts } from '#contracts/lint.ts'
import { loadContracts } from '#contracts/load.ts'

const ROOT = join(import.meta.dirname, '../..')
const COPIES = 200
/** Of the busiest contract: its rules and its schema are copied whole. */
const NAME = 'approval-result'
let root = ''

beforeAll(() => {
  root = mkdtempSync(join(tmpdir(), 'many-'))
  for (const folder of ['contracts', 'schemas']) cpSync(join(ROOT, folder), join(root, folder), { recursive: true })
  const contract = readFileSync(join(ROOT, 'contracts', `${NAME}.yaml`), 'utf8')
  const path = /^schema: (.*)$/m.exec(contract)?.[1] ?? ''
  const schema = readFileSync(join(ROOT, 'schemas', path), 'utf8')
  for (let n = 0; n < COPIES; n++) {
    const name = `copy-${n}`
    cpSync(join(ROOT, 'schemas', NAME, 'examples'), join(root, 'schemas', name, 'examples'), { recursive: true })
    writeFileSync(join(root, 'schemas', path.replace(NAME, name)), schema.replaceAll(`${NAME}/`, `${name}/`))
    writeFileSync(join(root, 'contracts', `${name}.yaml`), contract.replaceAll(NAME, name))
  }
})
afterAll(() => rmSync(root, { recursive: true }))

/** Seconds of this process's CPU, so that what else the machine does is not counted. */
function cpuSeconds(work: () => void): number {
  const before = process.cpuUsage()
  work()
  const { user, system } = process.cpuUsage(before)
  return (user + system) / 1e6
}

test('two hundred contracts load within 2 s, with the digest of all of them', () => {
  let count = 0
  const seconds = cpuSeconds(() => {
    count = loadContracts(root).list().length
  })
  expect(count).toBeGreaterThanOrEqual(COPIES)
  expect(seconds).toBeLessThan(2)
})

test('two hundred contracts are linted within 10 s', { timeout: 120_000 }, () => {
  let faults: readonly unknown[] = ['not linted']
  const seconds = cpuSeconds(() => {
    faults = lintContracts(root, Date.now())
  })
  expect(faults).toEqual([])
  expect(seconds).toBeLessThan(10)
})
