import { isUtf8 } from 'node:buffer'
import type { Contract } from '#contracts/contract.ts'
import { numericDate } from '#kernel/clock.ts'
import { HubError, violated } from '#kernel/errors.ts'
import { atPointer, isJsonObject, type Json, type JsonObject, parseStrictJson } from '#kernel/json.ts'
import type { PlainEvidenceRow } from '#store/app-key-queries.ts'
import { type ExchangeClaims, readClaims } from '#trust/claims.ts'
import { type CompactToken, parseCompact } from '#trust/compact.ts'
import {
  type Acceptance,
  type AcceptDeps,
  checkContent,
  checkSize,
  concluded,
  exchangeContract,
  MAX_TOKEN_BYTES,
  outcomeOf,
  rowOf,
} from './accept.ts'
import { observed } from './judged.ts'
import { writeEvidence } from './plain-evidence.ts'
import type { Progress, Sender } from './prove.ts'
import { type PlainRequest, type ProvenPlain, type ProvePlainDeps, provePlain } from './prove-plain.ts'

export interface AcceptPlainDeps extends AcceptDeps, Omit<ProvePlainDeps, 'clock' | 'register' | 'limits'> {
  /** Resolves when it is durable. Throws `hub.store_unavailable`. */
  readonly keepEvidence: (row: PlainEvidenceRow) => Promise<void>
}

const ATTESTATION_SECONDS = 300

/**
 * The plain door into the one acceptance path: who holds an AppKey is its party, the body is the data, the request id
 * the jti. The hub signs the exchange for the party (`iss` the hub, `obo` the party): its origin is `mac-attested`, and
 * the request with its MAC is durable before the exchange is. Everything else is as for a token: the replay key is
 * (party, request id), whichever door it came by first. Throws what `accept` throws.
 */
export function acceptPlain(deps: AcceptPlainDeps, request: PlainRequest): Promise<Acceptance> {
  const progress: Progress = {}
  return observed(deps.observe, 'plain', progress, () => acceptOrRefuse(deps, request, progress), outcomeOf)
}

async function acceptOrRefuse(deps: AcceptPlainDeps, request: PlainRequest, progress: Progress): Promise<Acceptance> {
  const arrivedAtMs = deps.clock()
  let leave: (() => void) | undefined
  return concluded(deps, progress, async () => {
    const proven = await provePlain(deps, request, progress)
    leave = deps.limits.enter(proven.party)
    const contract = exchangeContract(deps.contracts, request.contract)
    const claims = claimsOf(deps.hubId, proven, contract, readData(request.body), arrivedAtMs)
    progress.claims = claims
    const sender: Sender = { party: proven.party, agent: undefined, origin: 'mac-attested' }
    const nowMs = deps.clock()
    const token = attested(deps, claims)
    checkSize(contract, token)
    checkContent(deps, sender, claims, contract, nowMs)
    const { party, appKey, signed, bodyDigest } = proven
    await deps.keepEvidence({
      iss: party.id,
      jti: signed.requestId,
      contract: contract.ref,
      bodyDigest,
      appKey: appKey.id,
      request: deps.vault.seal(contract.retention, writeEvidence(request)),
      receivedAtMs: arrivedAtMs,
    })
    return deps.committer.submit(rowOf(deps, { token, sender, claims, contract, nowMs, arrivedAtMs, bodyDigest }))
  }).finally(() => leave?.())
}

/** The body as strictly as a token's payload. Throws `http.bad_request`. */
function readData(body: Buffer): JsonObject {
  let data: Json | undefined
  let cause: unknown
  try {
    data = isUtf8(body) ? parseStrictJson(body.toString('utf8')) : undefined
  } catch (error) {
    cause = error
  }
  if (isJsonObject(data)) return data
  throw new HubError('http.bad_request', {
    violations: cause instanceof HubError ? cause.violations : [],
    detail: {
      zh: '请求体须为 UTF-8 的 JSON 对象，成员不重复',
      en: 'the body must be a JSON object in UTF-8 without duplicate members',
    },
    cause,
  })
}

/** What the sender says by sending: business keys stand where the contract finds them in the data. */
function claimsOf(
  hubId: string,
  { party, signed }: ProvenPlain,
  contract: Contract,
  data: JsonObject,
  arrivedAtMs: number,
): ExchangeClaims {
  const sub = atPointer(data, contract.sub)
  if (typeof sub !== 'string') {
    const { sub: pointer } = contract
    throw violated('contract.schema_violated', pointer, 'sub', `缺少业务键 ${pointer}`, `no business key at ${pointer}`)
  }
  const caseNo = contract.caseNo === undefined ? undefined : atPointer(data, contract.caseNo)
  const iat = numericDate(arrivedAtMs)
  return readClaims('exchange+jwt', {
    iss: party.id,
    aud: hubId,
    iat,
    exp: iat + ATTESTATION_SECONDS,
    jti: signed.requestId,
    contract: contract.ref,
    sub,
    ...(typeof caseNo === 'string' ? { caseNo } : {}),
    data,
  })
}

/** The hub's own signature for the party: a recipient verifies it with the hub's published keys. */
function attested(deps: AcceptPlainDeps, claims: ExchangeClaims): CompactToken {
  const { data, ...rest } = claims
  const text = deps.signer.sign('exchange+jwt', { ...rest, iss: deps.hubId, obo: claims.iss, data })
  return parseCompact(text, MAX_TOKEN_BYTES)
}
