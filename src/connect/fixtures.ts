import { readdir, readFile } from 'node:fs/promises'
import path from 'node:path'
import { z } from 'zod'
import type { PeerAnswer } from '#delivery/retry-classes.ts'
import { canonicalJson } from '#kernel/canonical.ts'
import { asHubError, HubError } from '#kernel/errors.ts'
import type { Json, JsonObject } from '#kernel/json.ts'
import { judgeAnswer } from './answers.ts'
import { loadManifest, type Manifest } from './manifest.ts'
import { loadMappings, type Mapping } from './mapping.ts'
import { makeRequest } from './request.ts'

const jsonObject = z.record(z.string(), z.json()).transform((value) => value as JsonObject)

const fixture = z.strictObject({
  title: z.string().min(1),
  contract: z.string(),
  claims: jsonObject,
  data: jsonObject,
  delivery: z.strictObject({ id: z.uuid(), receivedAt: z.iso.datetime() }),
  receipt: z.string().default('receipt'),
  /** What must be sent; the body is compared as JSON. Or the code with which it must fail. */
  expect: z.union([
    z.strictObject({
      method: z.string(),
      path: z.string(),
      headers: z.record(z.string(), z.string()),
      body: jsonObject,
    }),
    z.strictObject({ error: z.string() }),
  ]),
  /** Answers of the peer and how they must be read. */
  answers: z
    .array(
      z.strictObject({
        status: z.int(),
        body: z.json().optional(),
        class: z.enum(['ok', 'duplicate', 'retry', 'throttle', 'dead', 'unauthorized', 'gone']),
        recipientRef: z.string().optional(),
      }),
    )
    .default([]),
})

type Fixture = z.output<typeof fixture>

export interface FixtureResult {
  readonly file: string
  readonly title: string
  readonly contract: string
  readonly data: JsonObject
  /** Empty when the fixture passes. */
  readonly problems: readonly string[]
}

/**
 * Runs every fixture of a connector's folder, offline. Throws `connector.invalid` for a folder that cannot be judged:
 * a faulty manifest, mapping or fixture, or a contract of the manifest without a fixture.
 */
export async function testConnector(directory: string): Promise<readonly FixtureResult[]> {
  const manifest = await loadManifest(directory)
  const mappings = await loadMappings(directory, manifest)
  const results: FixtureResult[] = []
  const folder = path.join(directory, 'fixtures')
  for (const file of (await readdir(folder)).filter((name) => name.endsWith('.json')).sort()) {
    const parsed = await readFixture(path.join(folder, file))
    const problems = [...(await requestProblems(manifest, mappings, parsed)), ...answerProblems(manifest, parsed)]
    results.push({ file, title: parsed.title, contract: parsed.contract, data: parsed.data, problems })
  }
  const untested = Object.keys(manifest.contracts).filter((name) => !results.some((result) => result.contract === name))
  if (untested.length > 0)
    throw invalid(directory, `${untested.join(', ')} 没有用例`, `no fixture for ${untested.join(', ')}`)
  return results
}

async function readFixture(file: string): Promise<Fixture> {
  try {
    return fixture.parse(JSON.parse(await readFile(file, 'utf8')))
  } catch (cause) {
    const reason = cause instanceof Error ? cause.message : 'unreadable'
    throw invalid(file, `用例有误：${reason}`, `the fixture is faulty: ${reason}`, cause)
  }
}

async function requestProblems(
  manifest: Manifest,
  mappings: ReadonlyMap<string, Mapping>,
  { contract, claims, data, delivery, receipt, expect }: Fixture,
): Promise<string[]> {
  let request: Awaited<ReturnType<typeof makeRequest>>
  try {
    request = await makeRequest(manifest, mappings, contract, {
      data,
      claims: { ...claims, contract },
      delivery,
      receipt,
    })
  } catch (error) {
    const { code, message } = asHubError(error)
    return 'error' in expect && expect.error === code ? [] : [message]
  }
  if ('error' in expect) return [`expected ${expect.error}, but a request was made`]
  const problems = []
  if (request.method !== expect.method || request.path !== expect.path) {
    problems.push(`expected ${expect.method} ${expect.path}, got ${request.method} ${request.path}`)
  }
  for (const [name, value] of Object.entries(expect.headers)) {
    if (request.headers[name] !== value)
      problems.push(`header ${name}: expected ${value}, got ${request.headers[name]}`)
  }
  const body = canonicalJson(JSON.parse(request.body) as Json)
  if (body !== canonicalJson(expect.body)) problems.push(`body: expected ${canonicalJson(expect.body)}, got ${body}`)
  return problems
}

function answerProblems(manifest: Manifest, { contract, answers }: Fixture): string[] {
  return answers.flatMap((expected, index) => {
    const body = expected.body === undefined ? '' : JSON.stringify(expected.body)
    const answer: PeerAnswer = { kind: 'answer', status: expected.status, retryAfterMs: undefined, body }
    const verdict = judgeAnswer(manifest, contract, answer)
    const fits = verdict.class === expected.class
    const refFits = expected.recipientRef === undefined || verdict.recipientRef === expected.recipientRef
    return fits && refFits
      ? []
      : [
          `answer ${index}: expected ${expected.class}, got ${verdict.class} (${verdict.recipientRef ?? 'no reference'})`,
        ]
  })
}

const invalid = (where: string, zh: string, en: string, cause?: unknown): HubError =>
  new HubError('connector.invalid', { detail: { zh: `${where}：${zh}`, en: `${where}: ${en}` }, cause })
