import type { Contract } from '#contracts/contract.ts'
import { atPointer, type JsonObject } from '#kernel/json.ts'
import {
  type AliasRow,
  type CaseChanges,
  type CaseRow,
  casesByAlias,
  deleteCases,
  type EventRow,
  insertCaseChanges,
  partiesOfCases,
} from '#store/case-queries.ts'
import { advanceCursor, advanceCursorIn, type LogEntry, rewindCursor } from '#store/cursor.ts'
import type { Db, Tx } from '#store/db.ts'

/** A number of a case with its key, as the composition reads it out of an exchange. */
interface CaseAlias {
  readonly key: string
  readonly scheme: string
  readonly issuer: string
  readonly number: string
}

export interface FoldSources {
  readonly contract: (ref: string) => Contract | undefined
  readonly claimsOf: (sealed: Buffer) => JsonObject
  /** Takes note of an entry whose content is gone, and throws what may pass. */
  readonly onUnreadable: (entry: LogEntry, error: unknown) => void
  readonly aliasesOf: (contract: Contract, data: JsonObject, sender: string) => readonly CaseAlias[]
  readonly subjectKeysOf: (contract: Contract, data: JsonObject) => readonly string[]
  readonly utilityOf: (division: string, atMs: number) => string | undefined
  readonly platformOf: (division: string) => string | undefined
}

const STEP = 500

/** Where the fold stands; routing follows behind it. */
export const CASES_CURSOR = 'cases'

/**
 * Folds the log into cases: an application opens one under its aliases, whatever shares an alias belongs to it, and
 * what comes before its application waits for it. Everything is derived from the log, so folding it again gives the
 * same cases. Returns positions passed.
 */
export async function foldStep(
  db: Db,
  sources: FoldSources,
  fault: (point: string) => void = () => {},
): Promise<number> {
  const passed = await advanceCursor(db, CASES_CURSOR, { limit: STEP }, async (tx, entries) => {
    await fold(tx, entries, sources)
    fault('cases.before-commit')
  })
  if (passed > 0) fault('cases.after-commit')
  return passed
}

async function fold(tx: Tx, entries: readonly LogEntry[], sources: FoldSources): Promise<void> {
  const read = entries.flatMap((entry) => readEntry(entry, sources))
  if (read.length === 0) return
  const keys = new Set(read.flatMap((one) => one.aliases.map((alias) => alias.key)))
  const known = await casesByAlias(tx, [...keys])
  const members = await partiesOfCases(tx, [...new Set(known.values())])
  await insertCaseChanges(tx, foldEntries(read, { known, members }, sources))
}

interface ReadEntry {
  readonly entry: LogEntry
  readonly contract: Contract
  readonly data: JsonObject
  readonly aliases: readonly CaseAlias[]
}

function readEntry(entry: LogEntry, sources: FoldSources): ReadEntry[] {
  const contract = sources.contract(entry.contract)
  if (contract === undefined || contract.aliases.length === 0) return []
  let data: JsonObject
  try {
    data = sources.claimsOf(entry.token)['data'] as JsonObject
  } catch (error) {
    sources.onUnreadable(entry, error)
    return []
  }
  return [{ entry, contract, data, aliases: sources.aliasesOf(contract, data, entry.obo ?? entry.iss) }]
}

/** Cases by alias key, and who takes part in each: as stored, and as this stretch goes on adding to them. */
interface Known {
  readonly known: Map<string, string>
  readonly members: Map<string, Set<string>>
}

function foldEntries(read: readonly ReadEntry[], { known, members }: Known, sources: FoldSources): CaseChanges {
  const cases: CaseRow[] = []
  const aliases: AliasRow[] = []
  const subjects: { case_id: string; subject_key: string }[] = []
  const events: EventRow[] = []
  const parties: { case_id: string; party: string }[] = []
  const join = (caseId: string, party: string | null | undefined): void => {
    if (party === null || party === undefined) return
    members.set(caseId, (members.get(caseId) ?? new Set()).add(party))
    parties.push({ case_id: caseId, party })
  }
  for (const one of read) {
    const { entry, contract, data } = one
    let caseId = ownCase(one, { known, members })
    if (caseId === undefined && contract.opensCase !== undefined) {
      const opened = openCase(one, contract.opensCase.supplyDivision, sources)
      cases.push(opened)
      caseId = opened.id
      join(opened.id, opened.utility)
      join(opened.id, sources.platformOf(opened.division))
    }
    events.push({
      pos: entry.pos,
      case_id: caseId ?? null,
      exchange: entry.exchange,
      contract: entry.contract,
      alias_keys: one.aliases.map((alias) => alias.key),
      at: entry.accepted_at.toISOString(),
    })
    if (caseId === undefined) continue
    for (const { key, scheme, issuer, number } of one.aliases) {
      if (known.has(key)) continue
      known.set(key, caseId)
      aliases.push({ key, scheme, issuer, number, case_id: caseId, pos: entry.pos })
    }
    join(caseId, entry.iss)
    join(caseId, entry.obo)
    for (const key of sources.subjectKeysOf(contract, data)) subjects.push({ case_id: caseId, subject_key: key })
  }
  return { cases, aliases, parties, subjects, events }
}

/**
 * The case that an exchange belongs to: one of its numbers names it, and its sender issued that number or takes part in
 * the case already. Naming somebody else's number lets nobody into a case, or add to it.
 */
function ownCase({ entry, aliases }: ReadEntry, { known, members }: Known): string | undefined {
  const senders = [entry.iss, entry.obo ?? entry.iss]
  for (const { key, issuer } of aliases) {
    const caseId = known.get(key)
    if (caseId === undefined) continue
    if (senders.includes(issuer) || senders.some((sender) => members.get(caseId)?.has(sender))) return caseId
  }
  return undefined
}

/** The case takes the id of the exchange that opened it, and a number that says when and where in the log. */
function openCase({ entry, data }: ReadEntry, supplyDivision: string, sources: FoldSources): CaseRow {
  const division = String(atPointer(data, supplyDivision))
  const at = entry.accepted_at
  return {
    id: entry.exchange,
    case_no: `DQ-${at.toISOString().slice(0, 10).replaceAll('-', '')}-${entry.pos}`,
    division,
    utility: sources.utilityOf(division, at.getTime()) ?? null,
    opened_pos: entry.pos,
    opened_at: at.toISOString(),
  }
}

/**
 * Empties the cases and folds the whole log again in one transaction: readers see the old cases until it is done.
 * Throws `vault.key_destroyed`, and the old cases stay, when content that they came from has been purged.
 */
export function rebuildCases(db: Db, given: FoldSources): Promise<number> {
  const onUnreadable = (_entry: LogEntry, error: unknown): never => {
    throw error
  }
  const sources = { ...given, onUnreadable }
  return db.transaction().execute(async (tx) => {
    await rewindCursor(tx, CASES_CURSOR)
    await deleteCases(tx)
    let folded = 0
    for (let passed = 1; passed > 0; folded += passed) {
      passed = await advanceCursorIn(tx, CASES_CURSOR, { limit: STEP }, (_tx, entries) => fold(tx, entries, sources))
    }
    return folded
  })
}
