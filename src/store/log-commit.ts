import type pg from 'pg'
import type { HubError } from '#kernel/errors.ts'
import type { Amendment } from './amendment.ts'
import { byteaArray, plainArray, textArray } from './binary-array.ts'
import type { NamedFile } from './file-naming-queries.ts'
import { isStatementError, runStatement } from './statement.ts'

/** One exchange as it is committed; its token is sealed already. */
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
  readonly token: Buffer
  readonly receipt: string
  readonly deliveries: readonly DeliveryRow[]
  /** Files that its data names; they are judged and recorded before it is committed. */
  readonly files?: readonly NamedFile[]
  /** What it disputes or corrects; it is judged and written down before it is committed. */
  readonly amendment?: Amendment | undefined
  readonly documents: readonly DocumentRow[]
  /** The signed refusal of a load's rows that were not good; it is answered along with the receipt. */
  readonly refusal: string | undefined
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
  /** Keyed digests of its holders and of the values that it is looked up by. */
  readonly holderKeys: readonly string[]
  /** Where in the exchange's data it stands (RFC 6901): at the root, unless it is a row of a load. */
  readonly pointer: string
  /** Its data, sealed. A reader needs neither the token that brought it nor the hundreds that came with it. */
  readonly data: Buffer
  readonly tokenDigest: string
}

/** What became of a row: committed at `pos`, another exchange holds its (iss, jti), or it was refused at the last. */
export type CommitOutcome =
  | { readonly kind: 'committed'; readonly pos: number }
  | {
      readonly kind: 'seen'
      readonly exchange: string
      readonly contentDigest: string
      readonly receipt: string
      readonly refusal: string | undefined
    }
  | { readonly kind: 'refused'; readonly error: HubError }

export type CommitBatch = (rows: readonly ExchangeRow[]) => Promise<readonly CommitOutcome[]>

interface ResultRow {
  readonly n: number
  readonly pos: string | null
  readonly exchange: string | null
  readonly content_digest: string | null
  readonly receipt: string | null
  readonly refusal: string | null
}

/** Who listens to it hears of each batch that is committed. */
export const LOG_CHANNEL = 'dianqiao_log'

const COMMIT =
  `SELECT batch.* FROM log_commit(${Array.from({ length: 32 }, (_, i) => `$${i + 1}`).join(', ')}) AS batch ` +
  `CROSS JOIN (SELECT pg_notify('${LOG_CHANNEL}', '')) AS told`

/** Commits batches through `log_commit`, one round trip each; outcomes stand in the order of the rows. */
export function createCommitBatch(pool: pg.Pool): CommitBatch {
  return async (rows) => {
    const client = await pool.connect()
    let isSound = true
    try {
      const statement = { name: 'log_commit', text: COMMIT, values: parameters(rows) }
      const result = await runStatement<ResultRow>(pool, client, statement)
      return outcomes(rows, result.rows)
    } catch (error) {
      isSound = isStatementError(error)
      throw error
    } finally {
      client.release(!isSound)
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
            refusal: row.refusal ?? undefined,
          }
        : { kind: 'committed', pos: Number(row.pos) }
  }
  return found
}

function parameters(rows: readonly ExchangeRow[]): unknown[] {
  const deliveries = rows.flatMap((row, index) => row.deliveries.map((delivery) => ({ n: index + 1, delivery })))
  const documents = rows.flatMap((row, index) => row.documents.map((document) => ({ n: index + 1, document })))
  return [
    plainArray(rows.map((row) => row.id)),
    textArray(rows.map((row) => row.iss)),
    textArray(rows.map((row) => row.jti)),
    textArray(rows.map((row) => row.contract)),
    textArray(rows.map((row) => row.sub)),
    textArray(rows.map((row) => row.caseNo)),
    textArray(rows.map((row) => row.obo)),
    textArray(rows.map((row) => row.origin)),
    textArray(rows.map((row) => row.orderKey)),
    textArray(rows.map((row) => row.contentDigest)),
    plainArray(rows.map((row) => new Date(row.acceptedAtMs).toISOString())),
    byteaArray(rows.map((row) => row.token)),
    textArray(rows.map((row) => row.receipt)),
    deliveries.map(({ n }) => n),
    plainArray(deliveries.map(({ delivery }) => delivery.id)),
    textArray(deliveries.map(({ delivery }) => delivery.recipient)),
    textArray(deliveries.map(({ delivery }) => delivery.state)),
    textArray(deliveries.map(({ delivery }) => delivery.aliasKeys.join(' '))),
    textArray(deliveries.map(({ delivery }) => delivery.fallbackDivision)),
    plainArray(deliveries.map(({ delivery }) => new Date(delivery.deliverByMs).toISOString())),
    documents.map(({ n }) => n),
    textArray(documents.map(({ document }) => document.contract)),
    textArray(documents.map(({ document }) => document.identifier)),
    textArray(documents.map(({ document }) => document.version)),
    textArray(documents.map(({ document }) => document.status)),
    documents.map(({ document }) => document.statusAt),
    documents.map(({ document }) => document.validTo ?? null),
    textArray(documents.map(({ document }) => document.holderKeys.join(' '))),
    textArray(rows.map((row) => row.refusal)),
    textArray(documents.map(({ document }) => document.pointer)),
    byteaArray(documents.map(({ document }) => document.data)),
    textArray(documents.map(({ document }) => document.tokenDigest)),
  ]
}
