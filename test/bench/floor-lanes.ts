import pg from 'pg'

const LANES = 2
const MAX_ROWS = 256

export const encode = (value: object): string => Buffer.from(JSON.stringify(value)).toString('base64url')
export const decode = (part: string): unknown => JSON.parse(Buffer.from(part, 'base64url').toString('utf8'))

/** The hub's own rule: what has gathered goes as soon as one of the connections is free. `tables` are created first. */
export async function openLanes<R>(
  databaseUrl: string,
  tables: string,
  run: (client: pg.Client, rows: readonly R[]) => Promise<void>,
): Promise<(row: R) => void> {
  const clients = Array.from({ length: LANES }, () => new pg.Client({ connectionString: databaseUrl }))
  for (const client of clients) await client.connect()
  await clients[0]?.query(tables)
  const free = [...clients]
  const waiting: R[] = []
  let scheduled = false

  const pump = (): void => {
    scheduled = false
    while (waiting.length > 0) {
      const client = free.pop()
      if (client === undefined) return
      void run(client, waiting.splice(0, MAX_ROWS)).then(() => {
        free.push(client)
        pump()
      })
    }
  }
  return (row) => {
    waiting.push(row)
    if (scheduled) return
    scheduled = true
    setImmediate(pump)
  }
}
