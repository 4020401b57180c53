import { setTimeout as sleep } from 'node:timers/promises'
import pg from 'pg'
import { LOG_CHANNEL } from './log-commit.ts'

interface LogWatchOptions {
  /** Something was committed since; maybe by this process. */
  readonly onNews: () => void
  readonly onError: (error: Error) => void
}

export interface LogWatch {
  close(): Promise<void>
}

const AGAIN_AFTER_MS = 1_000
const CONNECT_WITHIN_MS = 5_000
const FAREWELL_MS = 1_000

/**
 * Hears of commits by other processes as they happen (LISTEN), on a connection of its own. It only saves a wait: whoever
 * reads the log looks at it anyway from time to time, so what is missed while the connection is down is found all the
 * same. Resolves at once.
 */
export function watchLog(databaseUrl: string, { onNews, onError }: LogWatchOptions): LogWatch {
  let client: pg.Client | undefined
  let again: NodeJS.Timeout | undefined
  let closed = false

  const connect = async (): Promise<void> => {
    const opened = new pg.Client({
      connectionString: databaseUrl,
      connectionTimeoutMillis: CONNECT_WITHIN_MS,
      query_timeout: CONNECT_WITHIN_MS,
      keepAlive: true,
      application_name: 'dianqiao-log-watch',
    })
    client = opened
    let lost = false
    const lose = (error?: Error): void => {
      if (lost || closed) return
      lost = true
      if (error !== undefined) onError(error)
      void opened.end().catch(() => undefined)
      again = setTimeout(() => void connect(), AGAIN_AFTER_MS).unref()
    }
    opened.on('error', lose)
    opened.on('end', () => lose())
    opened.on('notification', onNews)
    try {
      await opened.connect()
      await opened.query(`LISTEN ${LOG_CHANNEL}`)
      onNews()
    } catch (error) {
      lose(error as Error)
    }
  }

  const connecting = connect()
  return {
    async close() {
      closed = true
      clearTimeout(again)
      await connecting
      // A line that swallows everything would keep the farewell for ever.
      await Promise.race([client?.end().catch(() => undefined), sleep(FAREWELL_MS, undefined, { ref: false })])
    },
  }
}
