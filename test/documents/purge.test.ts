import { sql } from 'kysely'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { startLoops } from '#compose-loops.ts'
import { licenceCopy } from '#sandbox/ofd.ts'
import { newNumber, result } from '../gateway/messages.ts'
import { withDatabase } from '../support/database.ts'
import { certificate, digestOf, fileObject, upload } from '../support/files.ts'
import { openTestHub, type TestHub } from '../support/hub.ts'

withDatabase('the purge of files', (databaseUrl) => {
  let hub: TestHub
  beforeAll(async () => {
    hub = await openTestHub(databaseUrl, { SWEEP_EVERY_MS: '50' })
  })
  afterAll(() => hub.close())

  test('a running relay removes the bytes of lapsed copies and of what nobody named for a week, and no others', async () => {
    const { db } = hub.core
    const platform = hub.party('platform-chifeng')
    const files = ['lapsed', 'in force', 'forgotten', 'new'].map((text) => licenceCopy(text))
    const [lapsed, inForce, forgotten, fresh] = files as [Buffer, Buffer, Buffer, Buffer]
    for (const file of files) expect((await upload(hub, platform, file)).status).toBe(201)
    for (const file of [lapsed, inForce]) {
      const answer = await platform.push(result(newNumber(), certificate(fileObject(file)) as never))
      expect(answer.status, answer.text).toBe(202)
    }
    await sql`UPDATE file SET moved_at = now() - interval '8 days' WHERE digest <> ${digestOf(fresh)}`.execute(db)
    await sql`UPDATE file_naming SET expires_at = now() - interval '1 second'
      WHERE file = (SELECT id FROM file WHERE digest = ${digestOf(lapsed)})`.execute(db)

    const loops = startLoops(hub.core, databaseUrl)
    try {
      const kept = async (): Promise<string[]> =>
        (
          await sql<{ digest: string }>`
            SELECT DISTINCT digest FROM file f JOIN file_chunk c ON c.file = f.id`.execute(db)
        ).rows.map(({ digest }) => digest)
      await expect.poll(async () => (await kept()).length, { timeout: 10_000 }).toBe(2)
      expect((await kept()).toSorted()).toEqual([inForce, fresh].map((file) => digestOf(file)).toSorted())
      const { rows } = await sql`SELECT FROM file WHERE digest = ${digestOf(forgotten)}`.execute(db)
      expect(rows).toEqual([])
    } finally {
      await loops.stop()
    }
  })
})
