import type pg from 'pg'

/** One exchange as it is committed: `token` and `receipt` are the compact tokens' text. */
export interface ExchangeRow {
  readonly id: string
  readonly iss: string
  readonly jti: string
  readonly contract: string
  readonly sub: string
  readonly caseNo: string | undefined
  readonly obo: string | undefined
  readonly origin: string
  readonly orderKey: string
  readonly contentDigest: string
  readonly acceptedAtMs: number
  readonly token: string
  readonly receipt: string
  readonly deliveries: readonly DeliveryRow[]
  readonly document: DocumentRow | undefined
}

/** A recipient that routing names, or an `unrouted` one that waits for an alias (keyed digests). */
export interface DeliveryRow {
  readonly id: string
  readonly recipient: string | undefined
  readonly state: 'accepted' | 'unrouted'
  readonly aliasKeys: readonly string[]
  readonly fallbackDivision: string | undefined
  readonly deliverByMs: number
}

/** The projection of a document; the higher (version, statusAt) wins, so a late arrival never regresses it. */
export interface DocumentRow {
  readonly contract: string
  readonly identifier: string
  readonly version: string
  readonly status: string
  readonly statusAt: string
  /** ISO date, absent for 长期. */
  readonly validTo: string | undefined
  readonly holderKeys: readonly string[]
}

/** What became of a row: committed at `pos`, or another exchange holds its (iss, jti). */
export type CommitOutcome =
  | { readonly kind: 'committed'; readonly pos: number }
  | { readonly kind: 'seen'; readonly exchange: string; readonly contentDigest: string; readonly receipt: string }

export type CommitBatch = (rows: readonly ExchangeRow[]) => Promise<readonly CommitOutcome[]>

interface ResultRow {
  readonly n: number
  readonly pos: string | null
  readonly exchange: string | null
  readonly content_digest: string | null
  readonly receipt: string | null
}

const COMMIT = `SELECT * FROM log_commit(${Array.from({ length: 28 }, (_, i) => `$${i + 1}`).join(', ')})`

/** Commits batches through `log_commit`, one round trip each; outcomes stand in the order of the rows. */
export function createCommitBatch(pool: pg.Pool): CommitBatch {
  return async (rows) => {
    const client = await pool.connect()
    let failure: Error | undefined
    try {
      const result = await client.query<ResultRow>({ name: 'log_commit', text: COMMIT, values: parameters(rows) })
      return outcomes(rows, result.rows)
    } catch (error) {
      failure = error as Error
      throw error
    } finally {
      // After a statement error the connection is sound; after anything else its state is unknown.
      client.release(failure !== undefined && !('severity' in failure))
    }
  }
}

function outcomes(rows: readonly ExchangeRow[], results: readonly ResultRow[]): CommitOutcome[] {
  const found = new Array<CommitOutcome>(rows.length)
  for (const row of results) {
    found[row.n - 1] =
      row.pos === null
        ? {
            kind: 'seen',
            exchange: row.exchange ?? '',
            contentDigest: row.content_digest ?? '',
            receipt: row.receipt ?? '',
          }
        : { kind: 'committed', pos: Number(row.pos) }
  }
  return found
}

function parameters(rows: readonly ExchangeRow[]): unknown[] {
  const deliveries = rows.flatMap((row, index) => row.deliveries.map((delivery) => ({ n: index + 1, delivery })))
  const documents = rows.flatMap((row, index) => (row.document ? [{ n: index + 1, document: row.document }] : []))
  return [
    plainArray(rows.map((row) => row.id)),
    rows.map((row) => row.iss),
    rows.map((row) => row.jti),
    rows.map((row) => row.contract),
    rows.map((row) => row.sub),
    rows.map((row) => row.caseNo ?? null),
    rows.map((row) => row.obo ?? null),
    plainArray(rows.map((row) => row.origin)),
    plainArray(rows.map((row) => row.orderKey)),
    plainArray(rows.map((row) => row.contentDigest)),
    plainArray(rows.map((row) => new Date(row.acceptedAtMs).toISOString())),
    plainArray(rows.map((row) => row.token)),
    plainArray(rows.map((row) => row.receipt)),
    deliveries.map(({ n }) => n),
    plainArray(deliveries.map(({ delivery }) => delivery.id)),
    deliveries.map(({ delivery }) => delivery.recipient ?? null),
    plainArray(deliveries.map(({ delivery }) => delivery.state)),
    deliveries.map(({ delivery }) => delivery.aliasKeys.join(' ')),
    deliveries.map(({ delivery }) => delivery.fallbackDivision ?? null),
    plainArray(deliveries.map(({ delivery }) => new Date(delivery.deliverByMs).toISOString())),
    documents.map(({ n }) => n),
    documents.map(({ document }) => document.contract),
    documents.map(({ document }) => document.identifier),
    documents.map(({ document }) => document.version),
    documents.map(({ document }) => document.status),
    documents.map(({ document }) => document.statusAt),
    documents.map(({ document }) => document.validTo ?? null),
    documents.map(({ document }) => document.holderKeys.join(' ')),
  ]
}

/**
 * An array literal for values that need no escaping (ids, base64url, ISO times): escaping every token would cost
 * more than sending it.
 */
const plainArray = (values: readonly string[]): string => `{${values.join(',')}}`
