import type { ContractSet } from '#contracts/contract.ts'
import { sendEach } from '#exchange/notices.ts'
import { sha256Digest } from '#kernel/canonical.ts'
import { type Clock, numericDate } from '#kernel/clock.ts'
import type { JsonObject } from '#kernel/json.ts'
import type { Db } from '#store/db.ts'
import {
  type AccessGroup,
  accessesOf,
  isMonthStated,
  markMonthStated,
  providersOf,
  type RefusalGroup,
  refusalsUnder,
} from '#store/statement-queries.ts'
import type { Signer } from '#trust/sign.ts'
import { shanghaiDay } from './minimise.ts'

const STATEMENT_CONTRACT = 'access-statement@1'
const MAX_GROUPS = 500
const MAX_AGE_S = 600

export interface StatementDeps {
  readonly db: Db
  readonly clock: Clock
  readonly hubId: string
  readonly contracts: ContractSet
  readonly signer: Signer
  /** The acceptance path itself; throws when the notice cannot be made durable. */
  readonly acceptOwn: (token: string) => Promise<void>
}

/**
 * Once a month is over (Asia/Shanghai), tells each provider of documents with a signed `access-statement` who read its
 * data. The notice's jti is made of provider and month, so that a step that was cut off repeats the same ones. Returns how
 * many it sent.
 */
export async function statementStep(deps: StatementDeps): Promise<number> {
  const month = monthBefore(shanghaiDay(deps.clock()))
  if (await isMonthStated(deps.db, month)) return 0
  const statements = await statementsOf(deps, month)
  await sendEach(statements, (data) => deps.acceptOwn(noticeOf(deps, data)))
  await markMonthStated(deps.db, month)
  return statements.length
}

/** The data of every provider's statement for a month, `YYYY-MM`. */
async function statementsOf(
  { db, contracts }: Pick<StatementDeps, 'db' | 'contracts'>,
  month: string,
): Promise<JsonObject[]> {
  const period = {
    from: new Date(`${month}-01T00:00:00+08:00`),
    to: new Date(`${monthAfter(month)}-01T00:00:00+08:00`),
  }
  const queryContracts = new Map<string, string[]>()
  for (const { ref, answers } of contracts.list()) {
    if (answers === undefined) continue
    for (const provider of await providersOf(
      db,
      answers.parts.map(({ document }) => document),
    )) {
      queryContracts.set(provider, [...(queryContracts.get(provider) ?? []), ref])
    }
  }
  const accesses = Map.groupBy(await accessesOf(db, period), ({ provider }) => provider)
  const refusals = await refusalsUnder(db, [...new Set([...queryContracts.values()].flat())], period)
  return [...new Set([...accesses.keys(), ...queryContracts.keys()])].toSorted().map((provider) =>
    statementOf(
      provider,
      month,
      accesses.get(provider) ?? [],
      refusals.filter(({ contract }) => queryContracts.get(provider)?.includes(contract)),
    ),
  )
}

function statementOf(
  provider: string,
  month: string,
  accesses: readonly AccessGroup[],
  refusals: readonly RefusalGroup[],
): JsonObject {
  return {
    statement: `${provider}:${month}`,
    provider,
    month,
    accesses: accesses.slice(0, MAX_GROUPS).map(({ provider: _own, legal_basis, fields, ...group }) => ({
      ...group,
      legalBasis: legal_basis,
      fields: [...fields],
    })),
    refusals: refusals.slice(0, MAX_GROUPS).map((group) => ({ ...group })),
    omitted: Math.max(0, accesses.length - MAX_GROUPS) + Math.max(0, refusals.length - MAX_GROUPS),
  }
}

function noticeOf({ hubId, clock, signer }: StatementDeps, data: JsonObject): string {
  const now = numericDate(clock())
  return signer.sign('exchange+jwt', {
    iss: hubId,
    aud: hubId,
    iat: now,
    exp: now + MAX_AGE_S,
    jti: `statement-${data['month']}-${sha256Digest(String(data['provider'])).slice(-16)}`,
    contract: STATEMENT_CONTRACT,
    sub: data['statement'],
    data,
  })
}

/** The month before that of a day, both as ISO dates begin. */
function monthBefore(day: string): string {
  const [year = 0, month = 0] = day.split('-').map(Number)
  return month === 1 ? `${year - 1}-12` : `${year}-${String(month - 1).padStart(2, '0')}`
}

function monthAfter(yearMonth: string): string {
  const [year = 0, month = 0] = yearMonth.split('-').map(Number)
  return month === 12 ? `${year + 1}-01` : `${year}-${String(month + 1).padStart(2, '0')}`
}
