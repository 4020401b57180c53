import { execFileSync } from 'node:child_process'
import { cpSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, expect, test } from 'vitest'

const ROOT = join(import.meta.dirname, '../..')
const TOTAL = 200
/** Of the busiest contract: its rules and its schema are copied whole. */
const NAME = 'approval-result'
let root = ''

beforeAll(() => {
  root = mkdtempSync(join(tmpdir(), 'many-'))
  for (const folder of ['contracts', 'schemas']) cpSync(join(ROOT, folder), join(root, folder), { recursive: true })
  const contract = readFileSync(join(ROOT, 'contracts', `${NAME}.yaml`), 'utf8')
  const path = /^schema: (.*)$/m.exec(contract)?.[1] ?? ''
  const schema = readFileSync(join(ROOT, 'schemas', path), 'utf8')
  for (let n = readdirSync(join(ROOT, 'contracts')).length; n < TOTAL; n++) {
    const name = `copy-${n}`
    cpSync(join(ROOT, 'schemas', NAME, 'examples'), join(root, 'schemas', name, 'examples'), { recursive: true })
    writeFileSync(join(root, 'schemas', path.replace(NAME, name)), schema.replaceAll(`${NAME}/`, `${name}/`))
    writeFileSync(join(root, 'contracts', `${name}.yaml`), contract.replaceAll(NAME, name))
  }
})
afterAll(() => rmSync(root, { recursive: true }))

interface Run {
  /** Of the thread's CPU. */
  readonly seconds: number
  readonly result: unknown
}

/** What `work`, an expression over the module, gives in a process of its own. */
function runOf(module: string, work: string): Run {
  const script = `
    import * as contracts from '${module}'
    const before = process.threadCpuUsage()
    const result = ${work}
    const { user, system } = process.threadCpuUsage(before)
    console.log(JSON.stringify({ seconds: (user + system) / 1e6, result }))`
  const args = ['--input-type=module', '-e', script]
  return JSON.parse(execFileSync(process.execPath, args, { cwd: ROOT, encoding: 'utf8' })) as Run
}

/** A neighbour on the machine only ever adds to it: the least of three runs is what the work itself takes. */
function leastOf(module: string, work: string): Run {
  const runs = [1, 2, 3].map(() => runOf(module, work)).toSorted((a, b) => a.seconds - b.seconds)
  return runs[0] ?? { seconds: Number.NaN, result: undefined }
}

test('two hundred contracts load within 2 s, with the digest of all of them', { timeout: 60_000 }, () => {
  const { seconds, result } = leastOf(
    '#contracts/load.ts',
    `contracts.loadContracts(${JSON.stringify(root)}).list().length`,
  )
  expect(result).toBe(TOTAL)
  expect(seconds).toBeLessThan(2)
})

test('two hundred contracts are linted within 10 s', { timeout: 120_000 }, () => {
  const { seconds, result } = leastOf(
    '#contracts/lint.ts',
    `contracts.lintContracts(${JSON.stringify(root)}, Date.now())`,
  )
  expect(result).toEqual([])
  expect(seconds).toBeLessThan(10)
})
