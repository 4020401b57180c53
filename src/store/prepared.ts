import type { PostgresPool, PostgresPoolClient, PostgresQueryResult } from 'kysely'
import type pg from 'pg'
import { isStatementError, runStatement } from './statement.ts'

/** How a statement asks to be parsed and planned once per connection; its text must never vary under one name. */
const PREPARED = /^\/\* prepared:([a-z_]+) \*\//

/**
 * A pool whose statements that begin with `/* prepared:<name> *\/` are prepared under that name. For the few in the hot
 * path: planning one of them anew takes longer than answering a dozen of its rows.
 */
export function preparingPool(pool: pg.Pool): PostgresPool {
  const wrapped = new WeakMap<pg.PoolClient, PostgresPoolClient>()
  return {
    options: pool.options,
    end: () => pool.end(),
    async connect() {
      const client = await pool.connect()
      const known = wrapped.get(client) ?? preparingClient(pool, client)
      wrapped.set(client, known)
      return known
    },
  }
}

function preparingClient(pool: pg.Pool, client: pg.PoolClient): PostgresPoolClient {
  let isSound = true
  async function query<R extends pg.QueryResultRow>(
    text: string,
    values: readonly unknown[],
  ): Promise<PostgresQueryResult<R>> {
    const name = PREPARED.exec(text)?.[1]
    const statement = name === undefined ? { text, values: [...values] } : { name, text, values: [...values] }
    try {
      return (await runStatement<R>(pool, client, statement)) as PostgresQueryResult<R>
    } catch (error) {
      isSound &&= isStatementError(error)
      throw error
    }
  }
  return {
    query: query as PostgresPoolClient['query'],
    release: (destroy) => client.release(destroy === true || !isSound),
  }
}
