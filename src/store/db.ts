import { Kysely, PostgresDialect, type Transaction } from 'kysely'
import pg from 'pg'
import { HubError } from '#kernel/errors.ts'
import { preparingPool } from './prepared.ts'

/** The store's handle. Queries are written as typed `sql` templates, so the schema type stays open. */
export type Db = Kysely<unknown>
export type Tx = Transaction<unknown>

interface PoolOptions {
  /** Upper bound of connections. */
  readonly max: number
  readonly onError?: (error: Error) => void
  /** After how long PostgreSQL gives up a transaction in which nothing happens, default 10 s. */
  readonly idleInTransactionMs?: number
  /** How long one statement may take, default 30 s. */
  readonly statementMs?: number
}

/** A pg pool with bounded waits: a database that is down shows within seconds, not minutes. */
export function openPool(url: string, options: PoolOptions): pg.Pool {
  const { statementMs = 30_000 } = options
  const pool = new pg.Pool({
    connectionString: url,
    max: options.max,
    connectionTimeoutMillis: 5_000,
    idleTimeoutMillis: 30_000,
    keepAlive: true,
    statement_timeout: statementMs,
    // A process that is stopped in the middle of a transaction loses its locks to those that go on.
    idle_in_transaction_session_timeout: options.idleInTransactionMs ?? 10_000,
    application_name: 'dianqiao',
  })
  // An idle connection that breaks is replaced by the pool; without a listener it would end the process.
  pool.on('error', (error) => options.onError?.(error))
  // One that breaks while it is in use fails its query; the pool listens to idle ones alone, and an unheard error
  // would end the process.
  pool.on('connect', (client) => client.on('error', () => {}))
  return pool
}

export function openDb(url: string, options: PoolOptions): Db {
  return new Kysely<unknown>({ dialect: new PostgresDialect({ pool: preparingPool(openPool(url, options)) }) })
}

/** For what goes through whole tables: migrations, and what follows them. */
export const WHOLE_TABLES = { max: 2, statementMs: 12 * 3_600_000 } as const satisfies PoolOptions

const TRANSIENT_CLASSES = new Set(['08', '53', '57', '58'])

/** Whether an error says that the database cannot be used now, rather than that a statement was wrong. */
export function isStoreOutage(error: unknown): boolean {
  // What is coded already says itself what it is; its words may be those of another system's outage.
  if (error instanceof HubError) return false
  const code = sqlState(error)
  if (code !== undefined) return TRANSIENT_CLASSES.has(code.slice(0, 2))
  return error instanceof Error && /ECONN|EPIPE|ENOENT|terminated|timeout|Connection|not queryable/i.test(error.message)
}

/** SQLSTATE of a database error (PostgreSQL, appendix A: each holds a digit, EPIPE does not), or undefined. */
export function sqlState(error: unknown): string | undefined {
  const code = typeof error === 'object' && error !== null && 'code' in error ? error.code : undefined
  return typeof code === 'string' && /^(?=.*\d)[0-9A-Z]{5}$/.test(code) ? code : undefined
}
