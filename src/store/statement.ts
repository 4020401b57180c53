import type pg from 'pg'

/** The server gives a statement up by itself; an answer that is not there so long after that comes no more. */
const GRACE_MS = 5_000

/**
 * Runs one statement on a client of this pool, within its `statement_timeout`. By callback and with a timer of our own:
 * for its promise, as for its `query_timeout`, node-postgres assigns a function literal to a property, which V8 allocates
 * in the old generation, and there it holds all that the statement was given and answered until the next major collection.
 */
export function runStatement<R extends pg.QueryResultRow>(
  pool: pg.Pool,
  client: pg.PoolClient,
  statement: pg.QueryConfig,
): Promise<pg.QueryResult<R>> {
  return new Promise((resolve, reject) => {
    const given = Number(pool.options.statement_timeout) + GRACE_MS
    const timer = setTimeout(
      () => reject(new DOMException('a statement was not answered: timeout', 'TimeoutError')),
      given,
    )
    client.query<R>(statement, (error: Error | null, result) => {
      clearTimeout(timer)
      if (error) reject(error)
      else resolve(result)
    })
  })
}

/** After a statement's error its connection is sound; after anything else its state is unknown. */
export const isStatementError = (error: unknown): boolean => error instanceof Error && 'severity' in error
