import { chmodSync, mkdtempSync, rmSync } from 'node:fs'
import os from 'node:os'
import path from 'node:path'
import pg from 'pg'
import { prepare } from '#cli/boot.ts'
import { readConfig } from '#config.ts'
import { startEmbeddedPostgres } from '#store/embedded.ts'
import { migrate } from '#store/migrate.ts'
import { HUB } from './message.ts'

/** What a measurement of acceptance stands on: one durable PostgreSQL, a seeded hub database, keys. */
export interface World {
  readonly postgresPid: number
  readonly databaseUrl: string
  /** Environment of a hub process on this database; nothing of ours leaks into it. */
  readonly hubEnv: NodeJS.ProcessEnv
  readonly keysDir: string
  /** For what else the bench keeps in files. */
  readonly directory: string
  /** An empty database beside the hub's, on the same server. */
  createDatabase(name: string): Promise<string>
  /** The same with the hub's schema. */
  migratedDatabase(name: string): Promise<string>
  close(): Promise<void>
}

/** A temporary folder that the unprivileged account of the server can pass through. */
export function temporaryDir(): { readonly path: string; remove(): void } {
  const directory = mkdtempSync(path.join(os.tmpdir(), 'dianqiao-bench-'))
  chmodSync(directory, 0o711)
  return { path: directory, remove: () => rmSync(directory, { recursive: true, force: true }) }
}

/** `settings`: of PostgreSQL, beside its own. */
export async function openWorld(settings: Readonly<Record<string, string>> = {}): Promise<World> {
  const directory = temporaryDir()
  const postgres = await startEmbeddedPostgres({ dataDir: path.join(directory.path, 'postgres'), settings })
  const close = async (): Promise<void> => {
    await postgres.stop()
    directory.remove()
  }
  const createDatabase = async (name: string): Promise<string> => {
    await query(postgres.url, `CREATE DATABASE ${name}`)
    const url = new URL(postgres.url)
    url.pathname = `/${name}`
    return url.href
  }
  try {
    const hubEnv = {
      HUB_ID: HUB,
      PORT: '0',
      ROLES: 'gateway',
      DATABASE_URL: postgres.url,
      DATA_DIR: path.join(directory.path, 'hub'),
    }
    const config = readConfig(hubEnv, process.getuid?.() === 0)
    await prepare(config, postgres.url)
    return {
      postgresPid: postgres.pid,
      databaseUrl: postgres.url,
      hubEnv,
      keysDir: config.partyKeysDir,
      directory: directory.path,
      createDatabase,
      async migratedDatabase(name) {
        const url = await createDatabase(name)
        await migrate(url)
        return url
      },
      close,
    }
  } catch (error) {
    await close()
    throw error
  }
}

/** One statement on a connection of its own. */
export async function query(databaseUrl: string, text: string): Promise<readonly Record<string, unknown>[]> {
  const client = new pg.Client({ connectionString: databaseUrl, application_name: 'dianqiao-bench' })
  await client.connect()
  try {
    return (await client.query<Record<string, unknown>>(text)).rows
  } finally {
    await client.end()
  }
}
