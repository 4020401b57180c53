import { sql } from 'kysely'
import type { Db, Tx } from './db.ts'

export interface TopicGeneration {
  readonly recipient: string
  readonly generation: number
  readonly opened_at: Date
  /** Null while deliveries may still be published to it. */
  readonly closed_at: Date | null
  /** Deliveries in it that are not settled yet. */
  readonly unsettled: number
}

/** Every listed generation of these recipients, oldest first. A recipient without any has generation 1. */
export async function topicGenerations(db: Db, recipients: readonly string[]): Promise<TopicGeneration[]> {
  const { rows } = await sql<TopicGeneration>`
    SELECT g.recipient, g.generation, g.opened_at, g.closed_at,
      (SELECT count(*)::int FROM delivery d
       WHERE d.recipient = g.recipient AND d.generation = g.generation
         AND d.state IN ('accepted', 'published', 'delivering')) AS unsettled
    FROM topic_generation g WHERE g.recipient = ANY (${recipients}) ORDER BY g.recipient, g.generation`.execute(db)
  return rows
}

/** The generations that a reader of this recipient's deliveries must read. */
export async function openGenerations(db: Db, recipient: string): Promise<number[]> {
  const { rows } = await sql<{ generation: number }>`
    SELECT generation FROM topic_generation WHERE recipient = ${recipient} AND closed_at IS NULL
    ORDER BY generation`.execute(db)
  return rows.length === 0 ? [1] : rows.map((row) => row.generation)
}

/** Opens a generation of a recipient whose topic exists; the older ones are drained key by key. */
export async function openGeneration(db: Db, recipient: string, generation: number): Promise<void> {
  await sql`
    INSERT INTO topic_generation (recipient, generation) VALUES (${recipient}, 1), (${recipient}, ${generation})
    ON CONFLICT DO NOTHING`.execute(db)
}

/** Closes generations that were followed by another one and hold no unsettled delivery. Returns how many. */
export async function closeDrained(db: Db): Promise<number> {
  const result = await sql`
    UPDATE topic_generation g SET closed_at = now()
    WHERE closed_at IS NULL
      AND EXISTS (SELECT FROM topic_generation n WHERE n.recipient = g.recipient AND n.generation > g.generation)
      AND NOT EXISTS (
        SELECT FROM delivery d WHERE d.recipient = g.recipient AND d.generation = g.generation
          AND d.state IN ('accepted', 'published', 'delivering'))`.execute(db)
  return Number(result.numAffectedRows ?? 0n)
}

/**
 * Says of deliveries that they go to this generation, while it is open; false when it was closed meanwhile. Holding
 * its row keeps it from being closed before they count as its own.
 */
export async function claimGeneration(
  tx: Tx,
  recipient: string,
  generation: number,
  ids: readonly string[],
): Promise<boolean> {
  const { rows } = await sql`
    SELECT FROM topic_generation
    WHERE recipient = ${recipient} AND generation = ${generation} AND closed_at IS NULL FOR SHARE`.execute(tx)
  if (rows.length === 0) return false
  await sql`UPDATE delivery SET generation = ${generation} WHERE id = ANY (${ids}::uuid[])`.execute(tx)
  return true
}
