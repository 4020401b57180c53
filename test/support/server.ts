import pg from 'pg'

/** The same server, another database. */
export function urlOf(serverUrl: string, database: string): string {
  const url = new URL(serverUrl)
  url.pathname = `/${database}`
  return url.href
}

/** Runs statements on a short-lived connection to the server's own database. */
export async function onServer<T>(serverUrl: string, use: (client: pg.Client) => Promise<T>): Promise<T> {
  const client = new pg.Client({ connectionString: serverUrl, application_name: 'dianqiao-test-support' })
  await client.connect()
  try {
    return await use(client)
  } finally {
    await client.end()
  }
}
