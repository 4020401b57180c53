import { readdir, readFile } from 'node:fs/promises'
import path from 'node:path'
import { z } from 'zod'
import type { PeerAnswer } from '#delivery/retry-classes.ts'
import type { LookUpQuestion } from '#documents/lookup.ts'
import { canonicalJson } from '#kernel/canonical.ts'
import { asHubError, HubError } from '#kernel/errors.ts'
import type { Json, JsonObject } from '#kernel/json.ts'
import type { FixtureResult } from './fixture-result.ts'
import type { HttpTransport } from './http-transport.ts'
import { loadLookUpManifest } from './lookup-manifest.ts'
import { openLookUpSource } from './lookup-source.ts'

const jsonObject = z.record(z.string(), z.json()).transform((value) => value as JsonObject)

const fixture = z.strictObject({
  title: z.string().min(1),
  contract: z.string(),
  query: z.strictObject({
    data: jsonObject,
    party: z.string(),
    purpose: z.string(),
    legalBasis: z.string(),
    item: z.string(),
    operator: z.string(),
    caseNo: z.string(),
    askedAt: z.iso.datetime(),
  }),
  requestId: z.uuid(),
  /** Each request that must be made, and what the system answers to it: JSON, the text that comes, or nothing at all. */
  steps: z
    .array(
      z.strictObject({
        path: z.string(),
        body: jsonObject,
        answer: z.union([
          z.strictObject({ status: z.int(), body: z.json().optional() }),
          z.strictObject({ failure: z.enum(['network', 'timeout']) }),
        ]),
      }),
    )
    .min(1),
  /** The documents that come of it, or the code with which it must fail. */
  expect: z.union([z.strictObject({ documents: z.array(jsonObject) }), z.strictObject({ error: z.string() })]),
})

type Fixture = z.output<typeof fixture>

/** Runs every fixture of a look-up's folder, offline. Throws `connector.invalid` for a folder that cannot be judged. */
export async function testLookUp(directory: string): Promise<readonly FixtureResult[]> {
  const manifest = await loadLookUpManifest(directory)
  const folder = path.join(directory, 'fixtures')
  const results: FixtureResult[] = []
  for (const file of (await readdir(folder)).filter((name) => name.endsWith('.json')).sort()) {
    const fixed = await readFixture(path.join(folder, file))
    const { title, contract, query } = fixed
    const made: string[] = []
    const source = await openLookUpSource(directory, manifest, scripted(fixed, made))
    const came = await outcomeOf(() => source.ask(questionOf(fixed), new AbortController().signal))
    const missing = fixed.steps.slice(made.length).map((step) => `${step.path} was not asked`)
    const wrong = made.filter((problem) => problem !== '')
    results.push({ file, title, contract, data: query.data, problems: [...wrong, ...missing, ...differs(fixed, came)] })
  }
  const untested = Object.keys(manifest.contracts).filter((ref) => !results.some(({ contract }) => contract === ref))
  if (untested.length === 0) return results
  throw invalid(directory, `${untested.join(', ')} 没有用例`, `no fixture for ${untested.join(', ')}`)
}

const questionOf = ({ contract, query, requestId }: Fixture): LookUpQuestion => ({ contract, ...query, requestId })

/** Answers in the order of the fixture; `made` gets an entry for each request, empty where it was as expected. */
function scripted({ steps }: Fixture, made: string[]): HttpTransport['send'] {
  return async ({ path: at, body }) => {
    const step = steps[made.length]
    const [wanted, got] = [canonicalJson(step?.body ?? {}), canonicalJson(JSON.parse(body) as Json)]
    made.push(
      step?.path !== at ? `${at} was not expected` : wanted === got ? '' : `${at}: expected ${wanted}, got ${got}`,
    )
    return step === undefined ? NOTHING : asAnswer(step.answer)
  }
}

const NOTHING: PeerAnswer = { kind: 'failure', reason: 'network', detail: 'no such step', sent: false }

function asAnswer(answer: Fixture['steps'][number]['answer']): PeerAnswer {
  if ('failure' in answer) return { kind: 'failure', reason: answer.failure, detail: answer.failure, sent: true }
  const { status, body = '' } = answer
  return {
    kind: 'answer',
    status,
    retryAfterMs: undefined,
    body: typeof body === 'string' ? body : JSON.stringify(body),
  }
}

async function outcomeOf(
  ask: () => Promise<{ readonly documents: readonly object[] }>,
): Promise<Fixture['expect'] & object> {
  try {
    const { documents } = await ask()
    return { documents: documents.map((one) => ({ ...one })) }
  } catch (error) {
    return { error: asHubError(error).code }
  }
}

function differs({ expect }: Fixture, came: Fixture['expect']): string[] {
  const [wanted, got] = [expect, came].map((one) => canonicalJson('error' in one ? { error: one.error } : { ...one }))
  return wanted === got ? [] : [`expected ${wanted}, got ${got}`]
}

async function readFixture(file: string): Promise<Fixture> {
  try {
    return fixture.parse(JSON.parse(await readFile(file, 'utf8')))
  } catch (cause) {
    const reason = cause instanceof Error ? cause.message : 'unreadable'
    throw invalid(file, `用例有误：${reason}`, `the fixture is faulty: ${reason}`)
  }
}

const invalid = (where: string, zh: string, en: string): HubError =>
  new HubError('connector.invalid', { detail: { zh: `${where}：${zh}`, en: `${where}: ${en}` } })
