import path from 'node:path'
import { z } from 'zod'
import { classOfAnswer, type PeerAnswer } from '#delivery/retry-classes.ts'
import type { LiveAnswer, LookUpQuestion, LookUpSource } from '#documents/lookup.ts'
import type { HubErrorCode } from '#kernel/error-codes.ts'
import { HubError } from '#kernel/errors.ts'
import { atPointer, type Json, type JsonObject, parseStrictJson } from '#kernel/json.ts'
import type { HttpTransport } from './http-transport.ts'
import type { LookUpManifest } from './lookup-manifest.ts'
import { type Mapping, readMapping } from './mapping.ts'
import type { LookUpInput } from './sdk.ts'

interface Step {
  readonly name: string
  readonly path: string
  readonly request: Mapping<LookUpInput>
}

interface Script {
  readonly steps: readonly Step[]
  readonly answer: Mapping<LookUpInput>
}

/** The peer's own proof: the digest that it sealed, and its seal over it. */
const answered = z.strictObject({
  documents: z
    .array(
      z.strictObject({
        data: z.record(z.string(), z.json()).transform((value) => value as JsonObject),
        seal: z
          .strictObject({
            digest: z.string().regex(/^(?:sha-256|sm3):[A-Za-z0-9_-]{43}$/),
            value: z.string().regex(/^[A-Za-z0-9_+/=-]{16,4096}$/),
          })
          .optional(),
      }),
    )
    .max(50),
})

/** A look-up connector as the engine asks it. Throws `connector.invalid` for a mapping that cannot be compiled. */
export async function openLookUpSource(
  directory: string,
  manifest: LookUpManifest,
  send: HttpTransport['send'],
): Promise<LookUpSource> {
  const scripts = new Map<string, Script>()
  for (const [ref, { steps, answer }] of Object.entries(manifest.contracts)) {
    const compiled = steps.map(async ({ mapping, ...step }) => ({
      ...step,
      request: await readMapping<LookUpInput>(path.join(directory, mapping)),
    }))
    scripts.set(ref, {
      steps: await Promise.all(compiled),
      answer: await readMapping<LookUpInput>(path.join(directory, answer)),
    })
  }
  const { id, provider, budgetMs, cacheSeconds, circuit, concurrency } = manifest
  return {
    id,
    provider,
    budgetMs,
    cacheSeconds,
    circuit,
    concurrency,
    ask: async (question, signal) => {
      const script = scripts.get(question.contract)
      if (script === undefined) throw notServed(question.contract)
      return run(manifest, script, question, (request) => send(request, { signal }))
    },
  }
}

async function run(
  manifest: LookUpManifest,
  { steps, answer }: Script,
  { requestId, contract, ...question }: LookUpQuestion,
  send: HttpTransport['send'],
): Promise<LiveAnswer> {
  const bodies: Record<string, Json> = {}
  const input = (): LookUpInput => ({
    query: { contract, ...question },
    requestId,
    steps: { ...bodies },
    statuses: manifest.statuses,
  })
  let text = ''
  for (const step of steps) {
    const body = JSON.stringify(await step.request(input()))
    const headers = { 'content-type': 'application/json; charset=utf-8' }
    const reply = await send({ method: 'POST', path: step.path, headers, body })
    const read = readReply(manifest.outcome, reply)
    if (read === 'none') return { documents: [], body: '' }
    bodies[step.name] = read.body
    text = read.text
  }
  const result = answered.safeParse(await answer(input()))
  if (!result.success) throw invalid('its documents have another form than {data, seal}')
  const documents = result.data.documents.map(({ data, seal }) => ({ data, ...(seal === undefined ? {} : { seal }) }))
  return { documents, body: text }
}

/** What the reply of one step says. Throws `peer.*`; the body's own code wins over the status it travels under. */
function readReply(
  outcome: LookUpManifest['outcome'],
  reply: PeerAnswer,
): 'none' | { readonly body: Json; readonly text: string } {
  if (reply.kind === 'failure') {
    throw failed(reply.reason === 'timeout' ? 'peer.timeout' : 'peer.unavailable', reply)
  }
  const body = bodyOf(reply.body)
  const found = atPointer(body, outcome.pointer)
  const code = typeof found === 'string' || typeof found === 'number' ? String(found) : ''
  if (outcome.none.includes(code)) return 'none'
  if (outcome.capReached.includes(code)) throw failed('peer.cap_reached', reply)
  if (outcome.busy.includes(code)) throw failed('peer.throttled', reply)
  if (outcome.unauthorized.includes(code)) throw failed('peer.unauthorized', reply)
  const statusClass = classOfAnswer(reply)
  if (statusClass === 'ok' && body !== undefined && outcome.found.includes(code)) return { body, text: reply.body }
  // A 2xx without the system's own body is not from the system.
  if (statusClass === 'ok' && code === '') throw failed('peer.unavailable', reply)
  throw failed(CODES[statusClass], reply)
}

/** Any other answer of a 2xx or 4xx is one that was not agreed upon. */
const CODES: Readonly<Record<ReturnType<typeof classOfAnswer>, HubErrorCode>> = {
  ok: 'peer.answer_invalid',
  duplicate: 'peer.answer_invalid',
  dead: 'peer.answer_invalid',
  retry: 'peer.unavailable',
  throttle: 'peer.throttled',
  unauthorized: 'peer.unauthorized',
  gone: 'peer.gone',
}

/** Strict: what is read twice the same way everywhere, or not at all. */
function bodyOf(text: string): Json | undefined {
  try {
    return parseStrictJson(text)
  } catch {
    return undefined
  }
}

function failed(code: HubErrorCode, reply: PeerAnswer): HubError {
  const what = reply.kind === 'failure' ? reply.detail : `status ${reply.status}`
  const retryAfterMs = reply.kind === 'answer' ? reply.retryAfterMs : undefined
  return new HubError(code, {
    detail: { zh: `查询对端：${what}`, en: `the look-up got: ${what}` },
    ...(retryAfterMs === undefined ? {} : { retryAfterSeconds: Math.ceil(retryAfterMs / 1_000) }),
  })
}

/** Without the cause, which could quote what is personal. */
const invalid = (en: string): HubError =>
  new HubError('peer.answer_invalid', { detail: { zh: '映射后的证照形式不符', en } })

const notServed = (contract: string): HubError =>
  new HubError('peer.unavailable', {
    detail: { zh: `查询连接器不服务 ${contract}`, en: `the look-up connector does not serve ${contract}` },
  })
