import type { PostgresPool, PostgresPoolClient, PostgresQueryResult } from 'kysely'
import type pg from 'pg'

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
      const known = wrapped.get(client) ?? preparingClient(client)
      wrapped.set(client, known)
      return known
    },
  }
}

function preparingClient(client: pg.PoolClient): PostgresPoolClient {
  function query<R>(text: string, values: readonly unknown[]): Promise<PostgresQueryResult<R>> {
    const name = PREPARED.exec(text)?.[1]
    const config = name === undefined ? { text, values: [...values] } : { name, text, values: [...values] }
    return client.query(config) as unknown as Promise<PostgresQueryResult<R>>
  }
  return { query: query as PostgresPoolClient['query'], release: (destroy) => client.release(destroy) }
}
