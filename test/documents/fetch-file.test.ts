import { decodeProtectedHeader } from 'jose'
import { sql } from 'kysely'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { fetchableFile, openFile } from '#documents/fetch-file.ts'
import { createTransferSlots } from '#documents/transfer-slots.ts'
import { licenceCopy } from '#sandbox/ofd.ts'
import { CHUNK_BYTES, purgeFiles } from '#store/file-queries.ts'
import { affair, application, licence, newNumber, result } from '../gateway/messages.ts'
import { consent, withdrawal } from '../gateway/rights-messages.ts'
import { withDatabase } from '../support/database.ts'
import { certificate, digestOf, download, fileObject, head, OFD, upload } from '../support/files.ts'
import { openTestHub, type TestHub, type TestParty } from '../support/hub.ts'

const COMPANY = '91150402MADEM002XN'
let serial = 0
const copyOf = (padding = 0): Buffer => licenceCopy(`fetched ${serial++}`, padding)

withDatabase('fetching a file', (databaseUrl) => {
  let hub: TestHub
  let platform: TestParty
  let utility: TestParty
  let stranger: TestParty
  beforeAll(async () => {
    hub = await openTestHub(databaseUrl)
    platform = hub.party('platform-chifeng')
    utility = hub.party('state-grid-east')
    stranger = hub.party('inner-mongolia-power')
  })
  afterAll(() => hub.close())

  async function accepted(party: TestParty, message: Parameters<TestParty['push']>[0]): Promise<void> {
    const answer = await party.push(message)
    expect(answer.status, answer.text).toBe(202)
  }
  /** A result that names the file, delivered to the utility. */
  async function delivered(file: Buffer, change: object = {}): Promise<void> {
    const affairNo = newNumber()
    await accepted(utility, application(newNumber('ME'), { aliases: [affair(platform.id, affairNo)] }))
    expect((await upload(hub, platform, file)).status).toBeLessThan(202)
    await accepted(platform, result(affairNo, certificate(fileObject(file, change)) as never))
    await hub.settle()
  }
  const fetches = async (digest: string) =>
    (
      await sql<{ party: string; first_byte: string; last_byte: string }>`
        SELECT party, first_byte, last_byte FROM file_fetch WHERE digest = ${digest} ORDER BY id`.execute(hub.core.db)
    ).rows.map((row) => `${row.party} ${row.first_byte}-${row.last_byte}`)

  test('sender and recipient get its bytes and what the hub says of it; everybody else hears nothing of it', async () => {
    const file = copyOf(CHUNK_BYTES)
    const digest = digestOf(file)
    await delivered(file)
    for (const party of [utility, platform]) {
      const got = await download(hub, party, digest)
      expect([got.status, got.bytes.equals(file)]).toEqual([200, true])
      expect(Object.fromEntries(got.headers)).toMatchObject({
        'content-type': OFD,
        'content-length': String(file.length),
        'content-disposition': `attachment; filename="${digest.replace(':', '-')}.ofd"`,
        'x-content-type-options': 'nosniff',
        'cache-control': 'no-store',
        etag: `"${digest}"`,
        'repr-digest': `sha-256=:${Buffer.from(digest.slice(8), 'base64url').toString('base64')}:`,
        'dianqiao-seal': 'not verified by the hub',
      })
      expect(Date.parse(String(got.headers.get('dianqiao-copy-expires-at')))).toBeGreaterThan(Date.now())
    }
    const none = digestOf(copyOf())
    for (const [party, asked] of [
      [stranger, digest],
      [hub.party('platform-hohhot'), digest],
      [utility, none],
    ] as const) {
      const got = await download(hub, party, asked)
      expect([got.status, got.code]).toEqual([404, 'file.not_found'])
      expect((await head(hub, party, asked)).status).toBe(404)
    }
    const last = file.length - 1
    expect(await fetches(digest)).toEqual([`${utility.id} 0-${last}`, `${platform.id} 0-${last}`])
  })

  test('an upload alone gives nobody a right, its uploader neither; a result without a case reaches nobody yet', async () => {
    const file = copyOf()
    const digest = digestOf(file)
    await upload(hub, platform, file)
    expect((await download(hub, platform, digest)).status).toBe(404)
    await accepted(platform, result(newNumber(), certificate(fileObject(file)) as never))
    expect((await download(hub, platform, digest)).status).toBe(200)
    expect((await download(hub, utility, digest)).status).toBe(404)
  })

  test('whoever may acknowledge for the recipient may fetch for it', async () => {
    const file = copyOf()
    await delivered(file)
    const { rows } = await sql<{ agent: string }>`
      SELECT agent FROM mandate WHERE principal = ${utility.id} AND contract = 'delivery-ack@1'`.execute(hub.core.db)
    expect(rows.length).toBeGreaterThan(0)
    for (const { agent } of rows) expect((await download(hub, hub.party(agent), digestOf(file))).status).toBe(200)
  })

  test('whoever uploaded the same bytes itself, but was sent nothing, gets nothing', async () => {
    const file = copyOf()
    await delivered(file)
    const other = hub.party('platform-hohhot')
    expect((await upload(hub, other, file)).status).toBe(201)
    expect((await download(hub, other, digestOf(file))).status).toBe(404)
  })

  describe('in ranges', () => {
    const file = copyOf(2 * CHUNK_BYTES)
    const size = file.length
    const digest = digestOf(file)
    beforeAll(() => delivered(file))

    test.each<[string, number, number]>([
      ['bytes=0-0', 0, 1],
      [`bytes=${CHUNK_BYTES - 1}-${CHUNK_BYTES}`, CHUNK_BYTES - 1, CHUNK_BYTES + 1],
      [`bytes=${CHUNK_BYTES}-`, CHUNK_BYTES, size],
      ['bytes=-7', size - 7, size],
      [`bytes=5-${size + 100}`, 5, size],
      [`bytes=-${size * 2}`, 0, size],
    ])('%s', async (range, from, to) => {
      const got = await download(hub, utility, digest, { range })
      expect([got.status, got.headers.get('content-range')]).toEqual([206, `bytes ${from}-${to - 1}/${size}`])
      expect(got.headers.get('content-length')).toBe(String(to - from))
      expect(got.bytes.equals(file.subarray(from, to))).toBe(true)
      expect(await fetches(digest)).toContain(`${utility.id} ${from}-${to - 1}`)
    })

    test.each(['bytes=0-1,4-5', 'lines=1-2', 'bytes=9-3', 'bytes=-', 'bytes=a-b'])('%s is the whole', async (range) => {
      const got = await download(hub, utility, digest, { range })
      expect([got.status, got.bytes.length]).toEqual([200, size])
    })

    test.each([`bytes=${size}-`, `bytes=${size + 5}-${size + 9}`, 'bytes=-0'])('%s cannot be given', async (range) => {
      const got = await download(hub, utility, digest, { range })
      expect([got.status, got.code]).toEqual([416, 'http.range_not_satisfiable'])
      expect(got.headers.get('content-range')).toBe(`bytes */${size}`)
    })

    test('a range under a condition holds for these bytes only', async () => {
      const range = 'bytes=0-9'
      expect((await download(hub, utility, digest, { range, 'if-range': `"${digest}"` })).status).toBe(206)
      expect((await download(hub, utility, digest, { range, 'if-range': '"another"' })).status).toBe(200)
    })
  })

  test('HEAD says what GET would, and is no fetch', async () => {
    const file = copyOf()
    await delivered(file)
    const answer = await head(hub, utility, digestOf(file))
    expect([answer.status, answer.text]).toEqual([200, ''])
    expect(answer.headers.get('content-length')).toBe(String(file.length))
    expect(answer.headers.get('upload-offset')).toBeNull()
    expect(await fetches(digestOf(file))).toEqual([])
  })

  test('a copy that has expired is gone for those who had it, and its bytes with it; another sending brings it back', async () => {
    const file = copyOf()
    const digest = digestOf(file)
    await delivered(file)
    await sql`UPDATE file_naming SET expires_at = now() - interval '1 second'
      WHERE file = (SELECT id FROM file WHERE digest = ${digest})`.execute(hub.core.db)
    await sql`UPDATE file SET moved_at = now() - interval '1 hour' WHERE digest = ${digest}`.execute(hub.core.db)
    const told = async (party: TestParty) => {
      const { status, code } = await download(hub, party, digest)
      return [status, code]
    }
    expect(await told(utility)).toEqual([410, 'file.lapsed'])
    expect(await purgeFiles(hub.core.db)).toBe(1)
    const { rows } = await sql`SELECT FROM file_chunk c JOIN file f ON f.id = c.file WHERE digest = ${digest}`.execute(
      hub.core.db,
    )
    expect(rows).toEqual([])
    expect(await told(utility)).toEqual([410, 'file.lapsed'])
    expect(await told(stranger)).toEqual([404, 'file.not_found'])
    expect((await head(hub, platform, digest)).status).toBe(410)

    // The purge does not take what was uploaded again away before an exchange can name it.
    expect((await upload(hub, platform, file)).status).toBe(201)
    expect(await purgeFiles(hub.core.db)).toBe(0)
    await delivered(file)
    expect((await download(hub, utility, digest)).bytes.equals(file)).toBe(true)
  })

  test('the latest expiry counts, and a file with a copy in force is not purged', async () => {
    const file = copyOf()
    await delivered(file)
    await delivered(file, { copyExpiresAt: new Date(Date.now() + 7_200_000).toISOString() })
    await sql`UPDATE file_naming SET expires_at = now() - interval '1 second' WHERE expires_at < now() + interval '90 minutes'
      AND file = (SELECT id FROM file WHERE digest = ${digestOf(file)})`.execute(hub.core.db)
    await sql`UPDATE file SET moved_at = now() - interval '8 days' WHERE digest = ${digestOf(file)}`.execute(
      hub.core.db,
    )
    await purgeFiles(hub.core.db)
    expect((await download(hub, utility, digestOf(file))).status).toBe(200)
  })

  describe('by an answered query', () => {
    const file = copyOf()
    const digest = digestOf(file)
    const caseNo = newNumber('ME')
    const question = (fields: readonly string[]) => ({
      contract: 'business-licence-query@1',
      sub: COMPANY,
      purpose: 'power-connection',
      legalBasis: 'duty',
      item: '11150000MB0000000X2000199001000',
      operator: 'staff-0042',
      caseNo,
      fields,
    })
    beforeAll(async () => {
      const authority = hub.party('market-regulation-nmg')
      await upload(hub, authority, file)
      const named = fileObject(file)
      const createdAt = new Date().toISOString()
      const copy = { createdAt, creator: '市场监管局', cause: '用电报装', expiresAt: named.copyExpiresAt, file: named }
      await accepted(authority, licence(COMPANY, { copy } as never))
      await accepted(utility, application(caseNo, { applicant: COMPANY }))
      await hub.settle()
    })

    test('the asker may fetch it once it got the field that names it, and nobody else may', async () => {
      expect((await download(hub, utility, digest)).status).toBe(404)
      expect((await utility.ask(question(['entityName']))).status).toBe(200)
      expect((await download(hub, utility, digest)).status).toBe(404)
      expect((await utility.ask(question(['copy']))).status).toBe(200)
      expect((await download(hub, utility, digest)).bytes.equals(file)).toBe(true)
      expect((await download(hub, stranger, digest)).status).toBe(404)
    })

    test('it may not any more once the grant is over that the query rested on', async () => {
      const until = (end: string) =>
        sql`UPDATE access_grant SET valid_to = ${sql.raw(end)} WHERE contract = 'business-licence-query@1'`.execute(
          hub.core.db,
        )
      expect((await utility.ask(question(['copy']))).status).toBe(200)
      await until("now() - interval '1 second'")
      try {
        expect((await download(hub, utility, digest)).status).toBe(404)
      } finally {
        await until('NULL')
      }
      expect((await download(hub, utility, digest)).status).toBe(200)
    })

    test('an agent may as long as it may ask for its principal', async () => {
      const { db, register } = hub.core
      await sql`INSERT INTO mandate (agent, principal, contract, valid_from)
        VALUES (${stranger.id}, ${utility.id}, 'business-licence-query@1', '2026-01-01')`.execute(db)
      await register.refresh()
      const answer = await stranger.ask({ ...question(['copy']), obo: utility.id })
      expect(answer.status, answer.text).toBe(200)
      const setStatus = async (status: string): Promise<void> => {
        await sql`UPDATE party SET status = ${status} WHERE id = ${utility.id}`.execute(db)
        await register.refresh()
      }
      const told = async (): Promise<number> => (await download(hub, stranger, digest)).status
      expect(await told()).toBe(200)
      await setStatus('suspended')
      expect(await told()).toBe(404)
      await setStatus('active')
      expect(await told()).toBe(200)
      await sql`DELETE FROM mandate WHERE agent = ${stranger.id}`.execute(db)
      expect(await told()).toBe(404)
      await register.refresh()
    })

    test('nor once the consent is withdrawn', async () => {
      const { db } = hub.core
      await sql`DELETE FROM access_record WHERE documents && ARRAY(SELECT exchange FROM file_naming n JOIN file f ON f.id = n.file
        WHERE f.digest = ${digest})`.execute(db)
      const consentRef = newNumber('CF')
      await accepted(platform, consent(consentRef, COMPANY))
      await hub.settle()
      const answer = await utility.ask({ ...question(['copy']), legalBasis: 'consent', consentRef })
      expect(answer.status, answer.text).toBe(200)
      expect((await download(hub, utility, digest)).status).toBe(200)
      await accepted(platform, withdrawal(consentRef))
      expect((await download(hub, utility, digest)).status).toBe(404)
    })
  })

  test('a reader that takes nothing is cut off, and gives its place back', async () => {
    const file = copyOf(4 * CHUNK_BYTES)
    await delivered(file)
    const { core } = hub
    const party = core.register.party(utility.id)
    if (party === undefined) throw new Error('no utility')
    const kid = decodeProtectedHeader(utility.sign('request+jwt', {})).kid
    const asker = { party, token: { header: { kid }, claims: {} } } as never
    const slots = createTransferSlots()
    const deps = { ...core, slots, open: core.vault.open, servedBy: () => [utility.id], readerIdleMs: 100 }
    const found = await fetchableFile(deps, asker, digestOf(file))
    const readers = await Promise.all(
      Array.from({ length: 8 }, async () =>
        (await openFile(deps, asker, found, { first: 0, last: file.length - 1 })).getReader(),
      ),
    )
    expect(() => slots.enter(utility.id)).toThrow('limit.exceeded')
    for (const reader of readers) expect((await reader.read()).done).toBe(false)
    await expect
      .poll(() =>
        Promise.allSettled(readers.map((reader) => reader.closed)).then((all) => all.map(({ status }) => status)),
      )
      .toEqual(readers.map(() => 'rejected'))
    expect(() => slots.enter(utility.id)()).not.toThrow()
  })

  test('a recipient that is suspended while it reads gets no more of it', async () => {
    const file = copyOf(8 * CHUNK_BYTES)
    await delivered(file)
    const response = await hub.app.request(`http://hub.test/v1/files/${digestOf(file)}`, {
      headers: {
        authorization: `Bearer ${utility.sign('request+jwt', { htm: 'GET', htu: `http://hub.test/v1/files/${digestOf(file)}` })}`,
      },
    })
    const reader = (response.body as ReadableStream<Uint8Array>).getReader()
    expect((await reader.read()).done).toBe(false)
    await sql`UPDATE party SET status = 'suspended' WHERE id = ${utility.id}`.execute(hub.core.db)
    await hub.core.register.refresh()
    const rest = async (): Promise<void> => {
      while (!(await reader.read()).done);
    }
    await expect(rest()).rejects.toMatchObject({ code: 'party.suspended' })
    await sql`UPDATE party SET status = 'active' WHERE id = ${utility.id}`.execute(hub.core.db)
    await hub.core.register.refresh()
  })
})
