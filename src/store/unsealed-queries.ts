import { sql } from 'kysely'
import type { Db } from './db.ts'

/** Content columns by table (migration 0010): where rows may stand that no vault has sealed yet. */
export const SEALED_COLUMNS = Object.freeze({
  exchange: ['token'],
  access_record: ['token'],
  inbox: ['token'],
  inbox_attempt: ['body'],
  dead_letter: ['value'],
  ack_outbox: ['token', 'data'],
  bus_log: ['value'],
}) satisfies Readonly<Record<string, readonly string[]>>
export type SealedTable = keyof typeof SEALED_COLUMNS

/** Tables with rows from before there was a vault. */
export async function unsealedTables(db: Db): Promise<SealedTable[]> {
  const { rows } = await sql<{ name: string }>`SELECT name FROM unsealed ORDER BY name`.execute(db)
  return rows.map(({ name }) => name).filter((name): name is SealedTable => Object.hasOwn(SEALED_COLUMNS, name))
}

export interface UnsealedValue {
  /** The row's place in the table. */
  readonly place: string
  readonly value: Buffer
  /** Of an exchange: the contract, which says how long it is kept. */
  readonly contract: string | null
}

/** The next values behind a place (`(0,0)` first) that are not sealed, in the order of the table. */
export async function findUnsealed(
  db: Db,
  table: SealedTable,
  column: string,
  after: string,
  limit: number,
): Promise<UnsealedValue[]> {
  const contract = table === 'exchange' ? sql`contract` : sql`NULL::text`
  const { rows } = await sql<UnsealedValue>`
    SELECT ctid::text AS place, ${sql.ref(column)} AS value, ${contract} AS contract FROM ${sql.table(table)}
    WHERE ctid > ${after}::tid AND get_byte(${sql.ref(column)}, 0) = 0 ORDER BY ctid LIMIT ${limit}`.execute(db)
  return rows
}

/** Replaces values by their sealed ones, where nobody has done so in between. Attempts are append-only but for this. */
export async function replaceUnsealed(
  db: Db,
  table: SealedTable,
  column: string,
  values: readonly { readonly place: string; readonly sealed: Buffer }[],
): Promise<void> {
  const appendOnly = table === 'inbox_attempt'
  await db.transaction().execute(async (tx) => {
    if (appendOnly) await sql`ALTER TABLE inbox_attempt DISABLE TRIGGER inbox_attempt_append_only`.execute(tx)
    await sql`
      UPDATE ${sql.table(table)} AS t SET ${sql.ref(column)} = s.sealed
      FROM unnest(${values.map(({ place }) => place)}::tid[], ${values.map(({ sealed }) => sealed)}::bytea[])
        AS s(place, sealed)
      WHERE t.ctid = s.place AND get_byte(t.${sql.ref(column)}, 0) = 0`.execute(tx)
    if (appendOnly) await sql`ALTER TABLE inbox_attempt ENABLE TRIGGER inbox_attempt_append_only`.execute(tx)
  })
}

/** Writes the table anew without its old row versions, which hold the values in the clear, then takes it off the list. */
export async function markSealed(db: Db, table: SealedTable): Promise<void> {
  await sql`VACUUM (FULL) ${sql.table(table)}`.execute(db)
  await sql`DELETE FROM unsealed WHERE name = ${table}`.execute(db)
}
