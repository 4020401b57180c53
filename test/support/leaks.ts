import { closeSync, openSync, readdirSync, readSync, statSync } from 'node:fs'
import { join } from 'node:path'
import { sql } from 'kysely'
import type { Db } from '#store/db.ts'

/** One value that must not be found, in every spelling that a store or a log may give it. */
interface Needle {
  readonly value: string
  readonly bytes: Buffer
}

/** As it is, in hex, percent-encoded, escaped in JSON, and inside base64 text at each of the three alignments. */
export function needlesFor(values: readonly string[]): Needle[] {
  return values.flatMap((value) => {
    const bytes = Buffer.from(value)
    const escaped = [...value].map((one) => `\\u${one.charCodeAt(0).toString(16).padStart(4, '0')}`).join('')
    const spellings = [
      value,
      bytes.toString('hex'),
      bytes.toString('hex').toUpperCase(),
      ...(/^[\x21-\x7e]+$/.test(value) ? [] : [encodeURIComponent(value), escaped]),
      ...[0, 1, 2].flatMap((offset) => insideBase64(bytes, offset)),
    ]
    return [...new Set(spellings)].map((spelling) => ({ value, bytes: Buffer.from(spelling) }))
  })
}

/** The characters of base64 that depend on these bytes alone, when they begin `offset` bytes into a group. */
function insideBase64(bytes: Buffer, offset: number): string[] {
  const padded = Buffer.concat([Buffer.alloc(offset), bytes])
  const from = Math.ceil((offset * 8) / 6)
  const to = Math.floor((padded.length * 8) / 6)
  return (['base64', 'base64url'] as const).map((encoding) => padded.toString(encoding).slice(from, to))
}

/** `where: value` for each value that stands in the text. */
export const leaksIn = (where: string, text: string | Buffer, needles: readonly Needle[]): string[] => {
  const bytes = typeof text === 'string' ? Buffer.from(text) : text
  return [...new Set(needles.filter((needle) => bytes.includes(needle.bytes)).map(({ value }) => `${where}: ${value}`))]
}

/** Every row of every table: as the text that a dump holds, and the bytes of its binary columns. */
export async function leaksInTables(db: Db, needles: readonly Needle[]): Promise<string[]> {
  const { rows: tables } = await sql<{ name: string }>`
    SELECT tablename AS name FROM pg_tables WHERE schemaname = 'public'`.execute(db)
  const found: string[] = []
  for (const { name } of tables) {
    const { rows } = await sql<Record<string, unknown> & { whole: string }>`
      SELECT t.*, t::text AS whole FROM ${sql.table(name)} t`.execute(db)
    for (const { whole, ...row } of rows) {
      found.push(...leaksIn(name, whole, needles))
      for (const [column, value] of Object.entries(row)) {
        if (Buffer.isBuffer(value)) found.push(...leaksIn(`${name}.${column}`, value, needles))
      }
    }
  }
  return [...new Set(found)]
}

const CHUNK = 16 * 1024 * 1024
const LONGEST = 4_096

/** Every file under a folder, read whole: data files, write-ahead log, broker segments. */
export function leaksInFiles(folder: string, needles: readonly Needle[]): string[] {
  return readdirSync(folder, { recursive: true, withFileTypes: true })
    .filter((entry) => entry.isFile())
    .flatMap((entry) => leaksInFile(join(entry.parentPath, entry.name), needles))
}

function leaksInFile(file: string, needles: readonly Needle[]): string[] {
  const found = new Set<string>()
  const descriptor = openSync(file, 'r')
  try {
    const size = statSync(file).size
    const chunk = Buffer.allocUnsafe(Math.min(size, CHUNK) + LONGEST)
    for (let at = 0; at < size; at += CHUNK) {
      const read = readSync(descriptor, chunk, 0, chunk.length, at)
      for (const leak of leaksIn(file, chunk.subarray(0, read), needles)) found.add(leak)
    }
  } finally {
    closeSync(descriptor)
  }
  return [...found]
}
