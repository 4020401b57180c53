import { sql } from 'kysely'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { steadyClock } from '#kernel/clock.ts'
import { changeStatus } from '#parties/onboarding.ts'
import { openRegister } from '#parties/register.ts'
import { type Db, openDb, type Tx } from '#store/db.ts'
import { withDatabase } from '../support/database.ts'

const OPERATOR = { by: 'operator', reason: 'a test' }

withDatabase('the register as nodes see it', (databaseUrl) => {
  let db: Db
  beforeAll(async () => {
    db = openDb(databaseUrl, { max: 2 })
    await sql`INSERT INTO party (id, name_zh, name_en, level, roles, channel)
      VALUES ('a-party', '甲', 'A', 'region', '{utility}', 'inbox')`.execute(db)
  })
  afterAll(() => db.destroy())

  test('a suspension is known on every node within five seconds', async () => {
    const nodes = [await openRegister(db, steadyClock), await openRegister(db, steadyClock)]
    try {
      await changeStatus(db, 'a-party', 'suspended', OPERATOR)
      for (const node of nodes) {
        await expect.poll(() => node.party('a-party')?.status, { timeout: 5_000 }).toBe('suspended')
      }
    } finally {
      for (const node of nodes) node.close()
    }
  })

  test('a reading that took long does not put an older picture in the place of a newer one', async () => {
    const hasRead = Promise.withResolvers<void>()
    const goOn = Promise.withResolvers<void>()
    let afterReading = async (): Promise<void> => undefined
    const register = await openRegister(
      afterReads(db, () => afterReading()),
      steadyClock,
    )
    try {
      afterReading = () => {
        hasRead.resolve()
        return goOn.promise
      }
      const slow = register.refresh()
      await hasRead.promise
      afterReading = async () => undefined
      await sql`UPDATE party SET name_en = 'A anew' WHERE id = 'a-party'`.execute(db)
      await register.refresh()
      expect(register.party('a-party')?.nameEn).toBe('A anew')
      goOn.resolve()
      await slow
      expect(register.party('a-party')?.nameEn).toBe('A anew')
    } finally {
      register.close()
    }
  })

  test('a picture that could not be read anew for five seconds answers nothing, and says that the store is away', async () => {
    const away = openDb(databaseUrl, { max: 1 })
    let laterMs = 0
    const register = await openRegister(away, () => Date.now() + laterMs)
    try {
      await away.destroy()
      laterMs = 4_000
      expect([register.isCurrent(), register.party('a-party')?.id]).toEqual([true, 'a-party'])
      laterMs = 5_001
      expect(register.isCurrent()).toBe(false)
      for (const ask of [
        () => register.party('a-party'),
        () => register.parties(),
        () => register.partyNamed('甲'),
        () => register.key('k'),
        () => register.grants('a-party', 'c@1'),
        () => register.hasMandate('a-party', 'b', 'c@1', 0),
        () => register.utilityOf('150402', 0),
      ]) {
        expect(ask).toThrow(expect.objectContaining({ code: 'hub.store_unavailable', retryAfterSeconds: 1 }))
      }
    } finally {
      register.close()
    }
  })
})

/** What a transaction has read is given back once `then` has resolved. */
function afterReads(db: Db, then: () => Promise<void>): Db {
  const transaction = () => ({
    setIsolationLevel: (level: 'repeatable read') => ({
      async execute<T>(read: (tx: Tx) => Promise<T>): Promise<T> {
        const result = await db.transaction().setIsolationLevel(level).execute(read)
        await then()
        return result
      },
    }),
  })
  return new Proxy(db, {
    get: (target, name) => {
      const member: unknown = name === 'transaction' ? transaction : Reflect.get(target, name)
      return typeof member === 'function' ? member.bind(target) : member
    },
  })
}
