import { fetchesOf } from '#store/file-naming-queries.ts'
import { listFiles } from '#store/file-queries.ts'
import { printJson, say } from './output.ts'
import { withDb } from './with-store.ts'

/** The files at the hub, a JSON line each. */
export async function listAll(party: string | undefined): Promise<void> {
  const files = await withDb((db) => listFiles(db, party))
  for (const file of files) printJson(file)
  say(`${files.length} files`)
}

/** Every fetch of one file, a JSON line each. */
export async function fetches(digest: string): Promise<void> {
  const rows = await withDb((db) => fetchesOf(db, digest))
  for (const row of rows) printJson(row)
  say(`${rows.length} fetches`)
}
