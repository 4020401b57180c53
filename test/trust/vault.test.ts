import { mkdtempSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { sql } from 'kysely'
import { afterAll, beforeAll, beforeEach, expect, test } from 'vitest'
import { RETENTION_CLASSES } from '#kernel/retention.ts'
import { type Db, openDb } from '#store/db.ts'
import { keyPeriod } from '#trust/data-keys.ts'
import { type Keystore, openFileKeystore } from '#trust/keystore.ts'
import { type LiveVault, openVault } from '#trust/vault.ts'
import { withDatabase } from '../support/database.ts'

const SECRET = '赛罕 13900001111'
const DAY_MS = 86_400_000

withDatabase('the vault', (databaseUrl) => {
  let db: Db
  let directory = ''
  let file = ''
  let keystore: Keystore
  const vaults: LiveVault[] = []
  let nowMs = Date.now()

  beforeAll(() => {
    db = openDb(databaseUrl, { max: 4 })
    directory = mkdtempSync(join(tmpdir(), 'dianqiao-vault-'))
    file = join(directory, 'keys', 'keystore.json')
    keystore = openFileKeystore(file, true)
  })
  afterAll(async () => {
    for (const vault of vaults) await vault.close()
    await db.destroy()
    rmSync(directory, { recursive: true, force: true })
  })
  beforeEach(() => {
    nowMs = Date.now()
  })

  const open = async (): Promise<LiveVault> => {
    const vault = await openVault({ db, keystore, clock: () => nowMs })
    vaults.push(vault)
    return vault
  }

  test('what is sealed opens again, and holds no byte of what was sealed', async () => {
    const vault = await open()
    for (const plain of [SECRET, '', 'x'.repeat(100_000)]) {
      const sealed = vault.seal('delivered', plain)
      expect(vault.open(sealed).toString()).toBe(plain)
      if (plain !== '') expect(sealed.includes(plain.slice(0, 16))).toBe(false)
    }
    const bytes = Buffer.from([0, 1, 255])
    expect(vault.open(vault.seal('archive', bytes))).toEqual(bytes)
    expect(vault.seal('delivered', SECRET)).not.toEqual(vault.seal('delivered', SECRET))
  })

  test('every process seals with the same keys, though all of them made some at once', async () => {
    await sql`TRUNCATE data_key`.execute(db)
    const [one, two, three] = await Promise.all([open(), open(), open()])
    for (const retention of RETENTION_CLASSES) {
      const sealed = one.seal(retention, SECRET)
      for (const other of [two, three]) expect(other.open(sealed).toString()).toBe(SECRET)
    }
    const { rows } = await sql`SELECT FROM data_key`.execute(db)
    expect(rows).toHaveLength(2 * RETENTION_CLASSES.length)
  })

  test('a changed byte anywhere, a piece cut off or a foreign key is told, never opened', async () => {
    const vault = await open()
    const sealed = vault.seal('delivered', SECRET)
    for (const at of [0, 5, 17, sealed.length - 1]) {
      const changed = Buffer.from(sealed)
      changed[at] = (changed[at] ?? 0) ^ 0x40
      expect(() => vault.open(changed)).toThrow(/vault.sealed_damaged/)
    }
    for (const cut of [0, 4, 20, sealed.length - 1]) {
      expect(() => vault.open(sealed.subarray(0, cut))).toThrow(/vault.sealed_damaged/)
    }
    const otherKey = Buffer.from(vault.seal('access', SECRET))
    sealed.copy(otherKey, 5, 5)
    expect(() => vault.open(otherKey)).toThrow(/vault.sealed_damaged/)
  })

  test('a key that nobody made is asked for once more, and then the value is damaged', async () => {
    const vault = await open()
    const sealed = vault.seal('delivered', SECRET)
    sealed.writeUInt32BE(4_000_000, 1)
    expect(() => vault.open(sealed)).toThrow(/vault.key_unavailable/)
    await vault.refresh()
    await vault.refresh()
    expect(() => vault.open(sealed)).toThrow(/vault.sealed_damaged/)
  })

  test('what stood in the clear before there was a vault is read as it is', async () => {
    const vault = await open()
    expect(vault.open(Buffer.concat([Buffer.of(0), Buffer.from(SECRET)])).toString()).toBe(SECRET)
  })

  test('the keys of tomorrow are there today, so a database that is away at midnight stops nobody', async () => {
    const vault = await open()
    nowMs += DAY_MS
    expect(vault.open(vault.seal('delivered', SECRET)).toString()).toBe(SECRET)
    nowMs += DAY_MS
    expect(() => vault.seal('delivered', SECRET)).toThrow(/vault.key_unavailable/)
    await vault.refresh()
    expect(vault.open(vault.seal('delivered', SECRET)).toString()).toBe(SECRET)
  })

  test('a destroyed key opens nothing, here and in every process that refreshed', async () => {
    const vault = await open()
    const other = await open()
    const sealed = vault.seal('query', SECRET)
    await sql`UPDATE data_key SET wrapped = NULL, destroyed_at = now()
              WHERE retention = 'query' AND period = ${keyPeriod(nowMs)}`.execute(db)
    await Promise.all([vault.refresh(), other.refresh()])
    for (const one of [vault, other, await open()]) expect(() => one.open(sealed)).toThrow(/vault.key_destroyed/)
  })

  test('a rotation adds a version: what older versions wrapped still unwraps, in processes that run already', async () => {
    const binding = 'dianqiao data key delivered 2026-01-01'
    const before = await keystore.wrap(Buffer.alloc(32, 7), binding)
    const running = openFileKeystore(file, false)
    expect(await keystore.rotate()).toBe(before.kekVersion + 1)
    const after = await running.wrap(Buffer.alloc(32, 8), binding)
    expect(after.kekVersion).toBe(before.kekVersion + 1)
    expect(await running.unwrap(before, binding)).toEqual(Buffer.alloc(32, 7))
    expect(await keystore.unwrap(after, binding)).toEqual(Buffer.alloc(32, 8))
    await expect(keystore.unwrap(after, 'dianqiao data key archive 2026-01-01')).rejects.toThrow(/keystore_faulty/)
    await expect(keystore.unwrap({ ...after, kekVersion: 99 }, binding)).rejects.toThrow(/version 99/)
  })

  test('a keystore is made once, for its owner alone; a missing, open or damaged one is refused, without its content', async () => {
    expect(statSync(file).mode & 0o777).toBe(0o600)
    const text = readFileSync(file, 'utf8')
    openFileKeystore(file, true)
    expect(readFileSync(file, 'utf8')).toBe(text)
    expect(() => openFileKeystore(join(directory, 'none.json'), false)).toThrow(/does not exist/)
    const bad = join(directory, 'bad.json')
    for (const content of [
      '{"format": "s3cret',
      '{}',
      '{"format":"dianqiao-keystore@1","keys":{}}',
      `{"format":"dianqiao-keystore@1","keys":{"1":"c2hvcnQ"}}`,
    ]) {
      writeFileSync(bad, content, { mode: 0o600 })
      expect(() => openFileKeystore(bad, false)).toThrow(
        expect.objectContaining({ code: 'vault.keystore_faulty', message: expect.not.stringContaining('s3cret') }),
      )
    }
    writeFileSync(join(directory, 'shared.json'), text, { mode: 0o644 })
    expect(() => openFileKeystore(join(directory, 'shared.json'), false)).toThrow(/chmod 600/)
  })

  test('a vault on a database of another keystore does not open', async () => {
    const foreign = openFileKeystore(join(directory, 'foreign.json'), true)
    await expect(openVault({ db, keystore: foreign, clock: () => nowMs })).rejects.toMatchObject({
      code: 'vault.keystore_faulty',
    })
  })
})
