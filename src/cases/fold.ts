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
} from '#store/case-queries.ts'
import { advanceCursorIn, type LogEntry, rewindCursor } from '#store/cursor.ts'
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
  readonly claimsOf: (token: string) => JsonObject
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
  const passed = await db.transaction().execute(async (tx) => {
    const folded = await foldStepIn(tx, sources)
    if (folded > 0) fault('cases.before-commit')
    return folded
  })
  if (passed > 0) fault('cases.after-commit')
  return passed
}

function foldStepIn(tx: Tx, sources: FoldSources): Promise<number> {
  return advanceCursorIn(tx, CASES_CURSOR, { limit: STEP }, async (_tx, entries) => {
    const read = entries.flatMap((entry) => readEntry(entry, sources))
    if (read.length === 0) return
    const known = await casesByAlias(tx, [...new Set(read.flatMap((one) => one.aliases.map((alias) => alias.key)))])
    await insertCaseChanges(tx, foldEntries(read, known, sources))
  })
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
  const data = sources.claimsOf(entry.token)['data'] as JsonObject
  return [{ entry, contract, data, aliases: sources.aliasesOf(contract, data, entry.obo ?? entry.iss) }]
}

function foldEntries(read: readonly ReadEntry[], known: Map<string, string>, sources: FoldSources): CaseChanges {
  const cases: CaseRow[] = []
  const aliases: AliasRow[] = []
  const parties: { case_id: string; party: string }[] = []
  const subjects: { case_id: string; subject_key: string }[] = []
  const events: EventRow[] = []
  for (const one of read) {
    const { entry, contract, data } = one
    let caseId = one.aliases.map((alias) => known.get(alias.key)).find((id) => id !== undefined)
    if (caseId === undefined && contract.opensCase !== undefined) {
      const opened = openCase(one, contract.opensCase.supplyDivision, sources)
      cases.push(opened)
      caseId = opened.id
      for (const party of [opened.utility, sources.platformOf(opened.division)]) {
        if (party !== null && party !== undefined) parties.push({ case_id: opened.id, party })
      }
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
    for (const party of new Set([entry.iss, entry.obo ?? entry.iss])) parties.push({ case_id: caseId, party })
    for (const key of sources.subjectKeysOf(contract, data)) subjects.push({ case_id: caseId, subject_key: key })
  }
  return { cases, aliases, parties, subjects, events }
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

/** Empties the cases and folds the whole log again in one transaction: readers see the old cases until it is done. */
export function rebuildCases(db: Db, sources: FoldSources): Promise<number> {
  return db.transaction().execute(async (tx) => {
    await rewindCursor(tx, CASES_CURSOR)
    await deleteCases(tx)
    let folded = 0
    for (let passed = await foldStepIn(tx, sources); passed > 0; passed = await foldStepIn(tx, sources))
      folded += passed
    return folded
  })
}
