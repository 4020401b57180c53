import { randomBytes } from 'node:crypto'
import { setTimeout as sleep } from 'node:timers/promises'
import { afterAll, beforeAll, describe, inject } from 'vitest'
import { onServer, urlOf } from './server.ts'

export interface TestDatabase {
  readonly url: string
  /** Drops it; fails, naming them, when connections to it are still open. */
  readonly drop: () => Promise<void>
}

/** A backend takes a moment to end after its client has closed the socket. */
const CLOSING_MS = 2_000

/** Begins with the template's name, so that the end of the run finds what a leak has kept from being dropped. */
const newName = (template: string): string => `${template}_${randomBytes(5).toString('hex')}`

/**
 * A suite with its own migrated database, empty at the start and dropped at the end. The suite fails when connections
 * leak; it is skipped, with the reason in its title, where no PostgreSQL can run. Give every test file one suite.
 */
export function withDatabase(title: string, body: (databaseUrl: string) => void): void {
  const postgres = inject('postgres')
  if ('missing' in postgres) {
    describe.skip(`${title} (needs PostgreSQL: ${postgres.missing})`, () => body('postgresql://missing'))
    return
  }
  const name = newName(postgres.template)
  describe(title, () => {
    let database: TestDatabase | undefined
    beforeAll(async () => {
      database = await cloneTemplate(postgres, name)
    })
    // registered before those of the body, hence run after them: by then its pools must be closed
    afterAll(() => database?.drop())
    body(urlOf(postgres.serverUrl, name))
  })
}

/** One more database inside a `withDatabase` suite: a second hub, a host at a utility's side. Drop it yourself. */
export async function createDatabase(): Promise<TestDatabase> {
  const postgres = inject('postgres')
  if ('missing' in postgres) throw new Error(`no PostgreSQL for this run: ${postgres.missing}`)
  return cloneTemplate(postgres, newName(postgres.template))
}

async function cloneTemplate(
  { serverUrl, template }: { readonly serverUrl: string; readonly template: string },
  name: string,
): Promise<TestDatabase> {
  await onServer(serverUrl, (client) =>
    client.query(`CREATE DATABASE ${name} TEMPLATE ${template} STRATEGY = FILE_COPY`),
  )
  return { url: urlOf(serverUrl, name), drop: () => dropDatabase(serverUrl, name) }
}

const OPEN_CONNECTIONS = `
  SELECT coalesce(nullif(application_name, ''), 'unnamed') || ', ' || coalesce(state, '?') || ': ' || query AS what
  FROM pg_stat_activity WHERE datname = $1 AND backend_type = 'client backend'`

async function dropDatabase(serverUrl: string, name: string): Promise<void> {
  await onServer(serverUrl, async (client) => {
    const deadline = performance.now() + CLOSING_MS
    for (;;) {
      const { rows } = await client.query<{ what: string }>(OPEN_CONNECTIONS, [name])
      if (rows.length === 0) break
      if (performance.now() > deadline) {
        throw new Error(`${rows.length} connections were left open:\n${rows.map((row) => row.what).join('\n')}`)
      }
      await sleep(20)
    }
    await client.query(`DROP DATABASE ${name}`)
  })
}
