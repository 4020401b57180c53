import type { Contract, ContractSet } from '#contracts/contract.ts'
import { brokenRules } from '#contracts/rules.ts'
import { validateData } from '#contracts/validate.ts'
import { type Clock, numericDate } from '#kernel/clock.ts'
import type { HubErrorCode } from '#kernel/error-codes.ts'
import { asHubError, HubError, violated } from '#kernel/errors.ts'
import { newExchangeId, uuidv7 } from '#kernel/ids.ts'
import type { JsonObject } from '#kernel/json.ts'
import type { ReplayRow } from '#store/exchange-queries.ts'
import type { ExchangeRow } from '#store/log-commit.ts'
import { checkAudience, checkFreshness, type ExchangeClaims, readClaims } from '#trust/claims.ts'
import type { CompactToken } from '#trust/compact.ts'
import type { Signer } from '#trust/sign.ts'
import type { Vault } from '#trust/vault.ts'
import { amendmentIn } from './amendments.ts'
import type { Committed, Committer } from './committer.ts'
import type { Digests } from './digests.ts'
import { type Observe, observed } from './judged.ts'
import { namedFiles } from './named-files.ts'
import type { PartyLimits } from './party-limits.ts'
import type { PartyRegister } from './party-register.ts'
import { planDeliveries } from './plan.ts'
import { type Progress, type Proven, proveParty, type Sender, senderOf } from './prove.ts'
import type { Refuse, Refused, SignRefusal } from './refuse.ts'
import { checkBinding, checkRight } from './rights.ts'
import { documentsOf } from './rows.ts'

export interface AcceptDeps {
  readonly hubId: string
  readonly clock: Clock
  readonly contracts: ContractSet
  readonly register: PartyRegister
  readonly limits: PartyLimits
  readonly digests: Digests
  readonly vault: Vault
  readonly signer: Signer
  readonly committer: Committer
  readonly findReplay: (iss: string, jti: string) => Promise<ReplayRow | undefined>
  readonly refuse: Refuse
  readonly signRefusal: SignRefusal
  /** The log head as this node knows it: every position it will get is greater. */
  readonly knownHead: () => number
  readonly observe?: Observe
}

/** A signed receipt for what is durable, or a refusal: signed once the token was read whole. */
export type Acceptance = ({ readonly kind: 'accepted' } & Committed) | Refused

/**
 * How a token came by the Kafka door: into which party's topic, and when the broker appended it. Freshness is judged
 * at that time, so an outage of the hub expires nothing (PROTOCOL, freshness).
 */
export interface Arrival {
  readonly party: string
  readonly atMs: number
  /** Whether its value was wrapped for the hub: what is personal must be. */
  readonly encrypted: boolean
  /** Why the value could not be unwrapped; then there is no token to judge. */
  readonly fault?: HubError
}

/** Above every contract's own cap; what is larger is not even read. */
export const MAX_TOKEN_BYTES = 1_048_576

/**
 * The one acceptance path (DESIGN §5a): prove → claims → contract → right → schema → rules → commit. Everything up
 * to the commit is synchronous, so exchanges submitted one after the other are queued in that order.
 *
 * Throws only what may pass: `hub.busy`, `hub.store_unavailable`, `limit.exceeded`. Nothing was accepted then,
 * or the outcome is unknown and the same jti is safe.
 */
export function accept(deps: AcceptDeps, text: string, arrival?: Arrival): Promise<Acceptance> {
  const progress: Progress = {}
  const door = arrival === undefined ? 'http' : 'bus'
  // The Kafka door reads at the hub's own pace, and its brokers have quotas.
  const limits = arrival === undefined ? deps.limits : undefined
  const judged = () => acceptOrRefuse(deps, text, { arrival, limits, isOwn: false }, progress)
  return observed(deps.observe, door, progress, judged, outcomeOf)
}

/** A notice that the hub signed itself, bounded by what caused it. Its recipients hold it too: no door takes it back. */
export function acceptOwn(deps: AcceptDeps, text: string): Promise<Acceptance> {
  const progress: Progress = {}
  const judged = () => acceptOrRefuse(deps, text, { arrival: undefined, limits: undefined, isOwn: true }, progress)
  return observed(deps.observe, 'http', progress, judged, outcomeOf)
}

export function outcomeOf(result: Acceptance): 'accepted' | 'replayed' | HubErrorCode {
  if (result.kind === 'refused') return result.error.code
  return result.replayed ? 'replayed' : 'accepted'
}

interface Way {
  readonly arrival: Arrival | undefined
  readonly limits: PartyLimits | undefined
  readonly isOwn: boolean
}

async function acceptOrRefuse(
  deps: AcceptDeps,
  text: string,
  { arrival, limits, isOwn }: Way,
  progress: Progress,
): Promise<Acceptance> {
  let leave: (() => void) | undefined
  return concluded(deps, progress, () => {
    if (arrival?.fault !== undefined) throw arrival.fault
    const proven = proveParty(
      { register: deps.register, limits },
      text,
      { typ: 'exchange+jwt', maxBytes: MAX_TOKEN_BYTES, isOwn },
      progress,
    )
    if (arrival !== undefined && arrival.party !== proven.party.id) throw new HubError('token.topic_foreign')
    leave = limits?.enter(proven.party)
    progress.claims = readClaims('exchange+jwt', proven.token.claims)
    return deps.committer.submit(judge(deps, proven, progress.claims, arrival))
  }).finally(() => leave?.())
}

/**
 * The end of every door: a receipt for what `submit` committed, or a refusal. Before anything is refused whose claims
 * were read, an earlier exchange is looked for.
 */
export async function concluded(
  deps: AcceptDeps,
  progress: Progress,
  submit: () => Promise<Committed>,
): Promise<Acceptance> {
  try {
    return toAcceptance(await submit())
  } catch (thrown) {
    const error = asHubError(thrown)
    if (error.retriable) throw error
    const original = progress.claims && (await findOriginal(deps, progress.claims))
    if (original === 'conflict') return await deps.refuse(new HubError('exchange.conflict'), progress)
    return original ?? (await deps.refuse(error, progress))
  }
}

/** The claims of a token against everything that it must fulfil; then the row as it is committed. */
function judge(deps: AcceptDeps, proven: Proven, claims: ExchangeClaims, arrival: Arrival | undefined): ExchangeRow {
  const nowMs = deps.clock()
  const arrivedAtMs = arrival?.atMs ?? nowMs
  checkAudience(claims, deps.hubId)
  const contract = exchangeContract(deps.contracts, claims.contract)
  if (contract.personal && arrival?.encrypted === false) throw new HubError('token.not_encrypted')
  checkSize(contract, proven.token)
  checkFreshness(claims, { nowMs: arrivedAtMs, maxAgeSeconds: contract.maxAgeSeconds })
  const sender = senderOf(proven)
  checkContent(deps, sender, claims, contract, nowMs)
  return rowOf(deps, { token: proven.token, sender, claims, contract, nowMs, arrivedAtMs })
}

/** The contract of an exchange. Throws `contract.unknown`, `contract.kind_wrong`. */
export function exchangeContract(contracts: ContractSet, ref: string): Contract {
  const contract = contracts.get(ref)
  if (contract === undefined) {
    throw violated('contract.unknown', '/contract', 'contract', '合同不存在或版本未发布', 'no such contract or version')
  }
  if (contract.kind === 'query') throw new HubError('contract.kind_wrong')
  return contract
}

export function checkSize(contract: Contract, token: CompactToken): void {
  if (token.text.length > contract.maxBytes) throw new HubError('token.too_large')
}

/** The right to send, business keys, schema and rules, in this order. Throws `right.*`, `party.*`, `contract.*`. */
export function checkContent(
  deps: Pick<AcceptDeps, 'register'>,
  sender: Sender,
  claims: ExchangeClaims,
  contract: Contract,
  nowMs: number,
): void {
  checkRight(deps.register, sender, claims, contract, nowMs)
  checkBinding(contract, claims)
  const violations = validateData(contract, claims.data)
  if (violations.length > 0) throw new HubError('contract.schema_violated', { violations })
  const errors = brokenRules(contract, { data: claims.data, claims: claims as unknown as JsonObject, nowMs })
  if (errors.length > 0) throw new HubError('contract.rule_violated', { violations: errors })
}

export interface Judged {
  readonly token: CompactToken
  readonly sender: Sender
  /** What the sender says. They differ from the token's where the hub signed it for the sender. */
  readonly claims: ExchangeClaims
  readonly contract: Contract
  readonly nowMs: number
  readonly arrivedAtMs: number
  /** Of the plain door: the body as it arrived, so that its sender can tell the receipt by its own bytes. */
  readonly bodyDigest?: string
}

/** The row that is committed, its receipt signed. */
export function rowOf(deps: AcceptDeps, { token, sender, claims, contract, ...judged }: Judged): ExchangeRow {
  const { nowMs, arrivedAtMs, bodyDigest } = judged
  const id = newExchangeId(nowMs)
  const { documents, refused } = documentsOf({ ...deps, contract, token, claims, nowMs })
  const contentDigest = deps.digests.content(claims)
  const { iss, jti } = claims
  const of = { iss, jti, contract: contract.ref, tokenDigest: token.digest, contentDigest }
  const receipt = deps.signer.sign('receipt+jwt', {
    iss: deps.hubId,
    aud: iss,
    iat: numericDate(nowMs),
    jti: uuidv7(nowMs),
    exchange: id,
    of: bodyDigest === undefined ? of : { ...of, bodyDigest },
    posAfter: deps.knownHead(),
    acceptedAt: numericDate(arrivedAtMs),
    origin: sender.origin,
  })
  return {
    id,
    iss,
    jti,
    contract: contract.ref,
    sub: claims.sub,
    caseNo: claims.caseNo,
    obo: claims.obo,
    origin: sender.origin,
    orderKey: deps.digests.orderKey(contract, claims),
    contentDigest,
    acceptedAtMs: arrivedAtMs,
    token: deps.vault.seal(contract.retention, token.text),
    receipt,
    deliveries: planDeliveries(contract, claims, deps.digests, deps.register, nowMs),
    files: namedFiles(contract, claims.data, nowMs),
    amendment: amendmentIn(deps.contracts, contract, claims),
    documents,
    refusal:
      refused === undefined
        ? undefined
        : deps.signRefusal(refused, { digest: bodyDigest ?? token.digest, claims: { iss } }, nowMs),
  }
}

const toAcceptance = (committed: Committed): Acceptance => ({ kind: 'accepted', ...committed })

/**
 * The replay look-up precedes every refusal of a token whose claims were read: the same content answers the original
 * receipt at any age and whatever changed since; other content under a used jti is a conflict, whatever else it is.
 */
async function findOriginal(deps: AcceptDeps, claims: ExchangeClaims): Promise<Acceptance | 'conflict' | undefined> {
  if (claims.aud !== deps.hubId) return undefined
  let seen: ReplayRow | undefined
  try {
    seen = await deps.findReplay(claims.iss, claims.jti)
  } catch (cause) {
    throw new HubError('hub.store_unavailable', { cause, retryAfterSeconds: 1 })
  }
  if (seen === undefined) return undefined
  if (seen.content_digest !== deps.digests.content(claims)) return 'conflict'
  const { exchange, receipt, refusal } = seen
  return toAcceptance({ exchange, receipt, refusal: refusal ?? undefined, replayed: true })
}
