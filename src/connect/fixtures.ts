import { readdir, readFile } from 'node:fs/promises'
import path from 'node:path'
import { z } from 'zod'
import type { PeerAnswer } from '#delivery/retry-classes.ts'
import type { PeerRequest } from '#delivery/target.ts'
import { canonicalJson } from '#kernel/canonical.ts'
import { asHubError, HubError } from '#kernel/errors.ts'
import type { Json, JsonObject } from '#kernel/json.ts'
import { judgeAnswer, judgeLookUp } from './answers.ts'
import type { FixtureResult } from './fixture-result.ts'
import { isLookUp } from './folders.ts'
import { testLookUp } from './lookup-fixtures.ts'
import { loadManifest, type Manifest } from './manifest.ts'
import { loadMappings, type Mappings } from './mapping.ts'
import { makeLookUp, makeRequest } from './request.ts'
import { canonicalXml } from './xml.ts'

const jsonObject = z.record(z.string(), z.json()).transform((value) => value as JsonObject)

/** What must be sent; the body is compared as JSON, or as XML with a file beside the fixture. */
const request = z.strictObject({
  method: z.string(),
  path: z.string(),
  headers: z.record(z.string(), z.string()),
  body: jsonObject.optional(),
  xml: z
    .string()
    .regex(/^[a-z0-9-]+\.xml$/)
    .optional(),
})

/** An answer of the peer: its body as JSON, or as the text that comes. */
const answered = { status: z.int(), body: z.json().optional(), recipientRef: z.string().optional() }

const fixture = z.strictObject({
  title: z.string().min(1),
  contract: z.string(),
  claims: jsonObject,
  data: jsonObject,
  delivery: z.strictObject({ id: z.uuid(), receivedAt: z.iso.datetime() }),
  receipt: z.string().default('receipt'),
  /** The request, or the code with which making it must fail. */
  expect: z.union([request, z.strictObject({ error: z.string() })]),
  /** Answers of the peer and how they must be read. */
  answers: z
    .array(
      z.strictObject({
        ...answered,
        class: z.enum(['ok', 'duplicate', 'retry', 'throttle', 'dead', 'unauthorized', 'gone']),
        /** Whether the peer may have acted all the same. */
        unknown: z.boolean().optional(),
      }),
    )
    .default([]),
  /** The look-up for the same delivery, and what its answers bring to light. */
  confirm: z
    .strictObject({
      expect: request,
      answers: z.array(
        z.strictObject({ ...answered, finding: z.enum(['applied', 'absent', 'unclear', 'unreachable']) }),
      ),
    })
    .optional(),
})

type Fixture = z.output<typeof fixture>
type ExpectedRequest = z.output<typeof request>

/**
 * Runs every fixture of a connector's folder, offline. Throws `connector.invalid` for a folder that cannot be judged:
 * a faulty manifest, mapping or fixture, or a contract of the manifest without a fixture (of its look-up as well).
 */
export async function testConnector(directory: string): Promise<readonly FixtureResult[]> {
  if (await isLookUp(directory)) return testLookUp(directory)
  const manifest = await loadManifest(directory)
  const mappings = await loadMappings(directory, manifest)
  const results: FixtureResult[] = []
  const tested = new Set<string>()
  const folder = path.join(directory, 'fixtures')
  for (const file of (await readdir(folder)).filter((name) => name.endsWith('.json')).sort()) {
    const parsed = await readFixture(path.join(folder, file))
    const problems = [
      ...(await requestProblems(folder, manifest, mappings, parsed)),
      ...(await lookUpProblems(folder, manifest, mappings, parsed)),
      ...answerProblems(manifest, parsed),
    ]
    if (manifest.confirm === undefined || parsed.confirm !== undefined) tested.add(parsed.contract)
    results.push({ file, title: parsed.title, contract: parsed.contract, data: parsed.data, problems })
  }
  const untested = Object.keys(manifest.contracts).filter((name) => !tested.has(name))
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

const inputOf = ({ contract, claims, data, delivery, receipt }: Fixture) => ({
  data,
  claims: { ...claims, contract },
  delivery,
  receipt,
})

async function requestProblems(
  folder: string,
  manifest: Manifest,
  mappings: Mappings,
  fixed: Fixture,
): Promise<readonly string[]> {
  const { expect } = fixed
  let made: PeerRequest
  try {
    made = await makeRequest(manifest, mappings, fixed.contract, inputOf(fixed))
  } catch (error) {
    const { code, message } = asHubError(error)
    return 'error' in expect && expect.error === code ? [] : [message]
  }
  if ('error' in expect) return [`expected ${expect.error}, but a request was made`]
  return differences(folder, expect, made)
}

async function lookUpProblems(
  folder: string,
  manifest: Manifest,
  mappings: Mappings,
  fixed: Fixture,
): Promise<readonly string[]> {
  if (fixed.confirm === undefined) return []
  const { expect, answers } = fixed.confirm
  const problems = answers.flatMap((expected, index) => {
    const { finding, verdict } = judgeLookUp(manifest, asAnswer(expected))
    const fits = finding === expected.finding && refFits(expected, verdict.recipientRef)
    return fits ? [] : [`look-up answer ${index}: expected ${expected.finding}, got ${finding}`]
  })
  try {
    const made = await makeLookUp(manifest, mappings, inputOf(fixed))
    return [...(await differences(folder, expect, made)).map((problem) => `look-up: ${problem}`), ...problems]
  } catch (error) {
    return [`look-up: ${asHubError(error).message}`, ...problems]
  }
}

async function differences(folder: string, expect: ExpectedRequest, made: PeerRequest): Promise<readonly string[]> {
  const problems = []
  if (made.method !== expect.method || made.path !== expect.path) {
    problems.push(`expected ${expect.method} ${expect.path}, got ${made.method} ${made.path}`)
  }
  for (const [name, value] of Object.entries(expect.headers)) {
    if (made.headers[name] !== value) problems.push(`header ${name}: expected ${value}, got ${made.headers[name]}`)
  }
  if (expect.body !== undefined) {
    const [wanted, body] = [
      canonicalJson(expect.body),
      made.body.startsWith('{') ? canonicalJson(JSON.parse(made.body) as Json) : 'XML',
    ]
    if (wanted !== body) problems.push(`body: expected ${wanted}, got ${body}`)
  }
  if (expect.xml !== undefined) {
    const [wanted, body] = [await readFile(path.join(folder, expect.xml), 'utf8'), made.body].map(canonicalXml)
    if (wanted === undefined || wanted !== body) problems.push(`body: expected ${wanted ?? 'no XML'}, got ${body}`)
  }
  return expect.body === undefined && expect.xml === undefined ? [...problems, 'no body is expected'] : problems
}

function answerProblems(manifest: Manifest, { contract, answers }: Fixture): readonly string[] {
  return answers.flatMap((expected, index) => {
    const verdict = judgeAnswer(manifest, contract, asAnswer(expected))
    const unknownFits = expected.unknown === undefined || verdict.unknown === expected.unknown
    const fits = verdict.class === expected.class && unknownFits && refFits(expected, verdict.recipientRef)
    const got = `${verdict.class}${verdict.unknown ? ', outcome unknown' : ''} (${verdict.recipientRef ?? 'no reference'})`
    return fits ? [] : [`answer ${index}: expected ${expected.class}, got ${got}`]
  })
}

const asAnswer = ({ status, body }: { readonly status: number; readonly body?: Json | undefined }): PeerAnswer => ({
  kind: 'answer',
  status,
  retryAfterMs: undefined,
  body: body === undefined ? '' : typeof body === 'string' ? body : JSON.stringify(body),
})

const refFits = (expected: { readonly recipientRef?: string | undefined }, got: string | undefined): boolean =>
  expected.recipientRef === undefined || got === expected.recipientRef

const invalid = (where: string, zh: string, en: string, cause?: unknown): HubError =>
  new HubError('connector.invalid', { detail: { zh: `${where}：${zh}`, en: `${where}: ${en}` }, cause })
