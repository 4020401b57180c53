import path from 'node:path'
import type { Log } from '#compose.ts'
import { type Config, configFromProcess } from '#config.ts'
import { HubError } from '#kernel/errors.ts'
import { type Db, openDb } from '#store/db.ts'
import { runningEmbeddedUrl, startEmbeddedPostgres } from '#store/embedded.ts'
import { createLog } from './log.ts'

export interface RunningStore {
  readonly url: string
  stop(): Promise<void>
}

/** The configured database, or the embedded one started in the data directory. */
export async function openStore(config: Config, log: Log): Promise<RunningStore> {
  if (config.databaseUrl !== undefined) return { url: config.databaseUrl, stop: async () => {} }
  return startEmbeddedPostgres({
    dataDir: path.join(config.dataDir, 'postgres'),
    log: (line) => log({ level: 'debug', message: line }),
  })
}

/** The database for one command: the configured one, or the embedded one, started unless a hub runs it already. */
export async function borrowStore(config: Config, log: Log): Promise<RunningStore> {
  try {
    return await openStore(config, log)
  } catch (error) {
    if (!(error instanceof HubError) || error.code !== 'store.directory_in_use') throw error
    const url = await runningEmbeddedUrl(path.join(config.dataDir, 'postgres'))
    if (url === undefined) throw error
    return { url, stop: async () => undefined }
  }
}

export async function withStore<R>(use: (url: string, config: Config, log: Log) => Promise<R>): Promise<R> {
  const config = configFromProcess()
  const log = createLog(config.logLevel)
  const store = await borrowStore(config, log)
  try {
    return await use(store.url, config, log)
  } finally {
    await store.stop()
  }
}

export const withDb = <R>(use: (db: Db) => Promise<R>): Promise<R> =>
  withStore(async (url) => {
    const db = openDb(url, { max: 1 })
    try {
      return await use(db)
    } finally {
      await db.destroy()
    }
  })
