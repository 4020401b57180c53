import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import os from 'node:os'
import path from 'node:path'
import { expect, it, onTestFinished } from 'vitest'
import { loadManifest } from '#connect/manifest.ts'
import { compile, loadMappings } from '#connect/mapping.ts'
import { makeRequest } from '#connect/request.ts'

const input = {
  data: { affairNo: 'A-1', list: [1, 2, 3] },
  claims: { iss: 'platform-chifeng' },
  delivery: { id: '01958a2e-7c3b-7d11-8a52-3f0c5e9b1a77', receivedAt: '2026-03-09T08:20:10.000Z' },
  receipt: 'r',
}
const failed = { code: 'mapping.failed', retriable: false }

it('a mapping sees data, claims, delivery and receipt', async () => {
  const mapping = compile('{ "a": data.affairNo, "b": claims.iss, "c": delivery.id, "d": receipt }')
  expect(await mapping(input)).toEqual({ a: 'A-1', b: 'platform-chifeng', c: input.delivery.id, d: 'r' })
})

it('a mapping that never ends is stopped', async () => {
  await expect(compile('($f := function($n) { $f($n + 1) }; { "a": $f(0) })')(input)).rejects.toMatchObject(failed)
  await expect(compile('($f := function($n) { 1 + $f($n + 1) }; { "a": $f(0) })')(input)).rejects.toMatchObject(failed)
})

it('a mapping that makes too long a list is stopped', async () => {
  await expect(compile('{ "a": [1..1000000].($ * 2) }')(input)).rejects.toMatchObject(failed)
})

it('a result that is no object is a failure', async () => {
  for (const expression of [
    'data.list',
    'data.affairNo',
    'data.missing',
    '$sum',
    '{ "a": $sum }',
    '{ "a": function($x) { $x } }',
  ]) {
    await expect(compile(expression)(input)).rejects.toMatchObject(failed)
  }
})

it('an error in a mapping names its code and never the value it met', async () => {
  const error: unknown = await compile('{ "a": $number(data.affairNo) }')(input).catch((thrown: unknown) => thrown)
  expect(error).toMatchObject(failed)
  expect(String(error)).not.toContain('A-1')
})

it('evaluations at the same time do not disturb each other', async () => {
  const mapping = compile('{ "n": $sum([1..50].($ * $$.data.list[0])), "who": data.affairNo }')
  const inputs = Array.from({ length: 50 }, (_, n) => ({ ...input, data: { affairNo: `A-${n}`, list: [n] } }))
  const results = await Promise.all(inputs.map((one) => mapping(one)))
  expect(results).toEqual(inputs.map((_, n) => ({ n: n * 1_275, who: `A-${n}` })))
})

it('a TypeScript module takes the place of JSONata where a connector names one', async () => {
  const directory = await mkdtemp(path.join(os.tmpdir(), 'connector-'))
  onTestFinished(() => rm(directory, { recursive: true }))
  const manifest = await loadManifest(path.join(import.meta.dirname, 'rest-marketing'))
  if (manifest.transport !== 'http') throw new Error('the example speaks REST')
  const entry = { mapping: 'own.ts', method: 'POST', path: '/own' } as const
  await writeFile(
    path.join(directory, 'own.ts'),
    'export const map = ({ data }: { data: object }) => ({ wrapped: data })',
  )
  const own = { ...manifest, contracts: { 'approval-result@1': entry } }
  const mappings = await loadMappings(directory, own)
  const request = await makeRequest(own, mappings, 'approval-result@1', input)
  expect(request).toMatchObject({ path: '/own', headers: { 'idempotency-key': input.delivery.id } })
  expect(JSON.parse(request.body)).toEqual({ wrapped: input.data })
  await expect(makeRequest(own, mappings, 'power-application@1', input)).rejects.toMatchObject(failed)
})
