import { spawn } from 'node:child_process'
import { generateKeyPairSync, randomUUID } from 'node:crypto'
import { text } from 'node:stream/consumers'
import { describe, expect, test } from 'vitest'
import type { JsonObject } from '#kernel/json.ts'
import { createSigner } from '#trust/sign.ts'
import { root } from '../house/sources.ts'

interface Ran {
  readonly code: number | null
  readonly out: string
  readonly err: string
}

/** The command as a user runs it. */
async function dianqiao(args: readonly string[], stdin = ''): Promise<Ran> {
  const child = spawn(process.execPath, ['src/main.ts', ...args], { cwd: root, env: { PATH: process.env['PATH'] } })
  child.stdin.end(stdin)
  const ended = new Promise<number | null>((resolve) => child.once('exit', resolve))
  const [out, err, code] = await Promise.all([text(child.stdout), text(child.stderr), ended])
  return { code, out, err }
}

describe('dianqiao contract', { timeout: 60_000 }, () => {
  test('docs prints a page in the language asked for, and refuses a contract that does not exist', async () => {
    const page = await dianqiao(['contract', 'docs', 'approval-result@1', '--lang', 'en'])
    expect(page.code).toBe(0)
    expect(page.out).toMatch(/^# Approval result `approval-result@1`/)
    const unknown = await dianqiao(['contract', 'docs', 'nothing@1'])
    expect([unknown.code, unknown.out]).toEqual([1, ''])
    expect(unknown.err).toContain('contract.unknown')
    expect((await dianqiao(['contract', 'docs', '--lang', 'fr'])).code).toBe(2)
  })

  test('check answers yes for the published versions, a line each', async () => {
    const { code, out } = await dianqiao(['contract', 'check'])
    expect(code).toBe(0)
    const lines = out
      .trimEnd()
      .split('\n')
      .map((line) => JSON.parse(line) as JsonObject)
    expect(lines).toContainEqual(expect.objectContaining({ contract: 'approval-result@1', verdict: 'compatible' }))
  })

  test('release without a path is a wrong call, and one that does not exist is named', async () => {
    expect((await dianqiao(['contract', 'release'])).code).toBe(2)
    const { code, err } = await dianqiao(['contract', 'release', 'nothing/1.0.0.json'])
    expect(code).toBe(1)
    expect(err).toContain('schemas/nothing/1.0.0.json#')
  })
})

test('token decode masks what is personal, unless it is to be revealed', { timeout: 60_000 }, async () => {
  const { privateKey } = generateKeyPairSync('ec', { namedCurve: 'P-256' })
  const signer = createSigner(privateKey.export({ format: 'jwk' }) as JsonObject)
  const data = { affairNo: 'A-1', handler: '张小三' }
  const claims = { jti: randomUUID(), contract: 'approval-result@1', sub: 'A-1', data }
  const token = signer.sign('exchange+jwt', claims)
  const masked = await dianqiao(['token', 'decode'], token)
  expect(masked.out).not.toContain('张小三')
  expect(JSON.parse(masked.out)).toMatchObject({ claims: { sub: 'A-1', data: { affairNo: 'A-1', handler: '张**' } } })
  const revealed = await dianqiao(['token', 'decode', '--reveal'], token)
  expect(JSON.parse(revealed.out)).toMatchObject({ claims: { data } })
})
