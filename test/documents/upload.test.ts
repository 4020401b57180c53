import { randomBytes } from 'node:crypto'
import { sql } from 'kysely'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { licenceCopy, zip } from '#sandbox/ofd.ts'
import { CHUNK_BYTES, purgeFiles } from '#store/file-queries.ts'
import { withDatabase } from '../support/database.ts'
import { digestOf, head, OFD, pathOf, upload } from '../support/files.ts'
import { openTestHub, type TestHub, type TestParty } from '../support/hub.ts'

let serial = 0
const copyOf = (padding = 0): Buffer => licenceCopy(`copy ${serial++}`, padding)
const QUOTA = 4 * 1_048_576

withDatabase('uploads', (databaseUrl) => {
  let hub: TestHub
  let platform: TestParty
  let other: TestParty
  beforeAll(async () => {
    hub = await openTestHub(databaseUrl, { FILE_MAX_BYTES: '3145728', FILE_QUOTA_BYTES: String(QUOTA) })
    platform = hub.party('platform-chifeng')
    other = hub.party('platform-hohhot')
  })
  afterAll(() => hub.close())

  const rows = async (digest: string) =>
    (
      await sql<{ owner: string; state: string; chunks: number }>`
        SELECT owner, state, (SELECT count(*) FROM file_chunk c WHERE c.file = f.id)::int AS chunks
        FROM file f WHERE digest = ${digest} ORDER BY owner`.execute(hub.core.db)
    ).rows

  test('a whole file is complete at once, and again without effect', async () => {
    const file = copyOf()
    const first = await upload(hub, platform, file)
    expect([first.status, first.json]).toEqual([
      201,
      {
        digest: digestOf(file),
        bytes: file.length,
        mediaType: OFD,
        offset: file.length,
        complete: true,
        seal: 'not verified by the hub',
      },
    ])
    expect((await upload(hub, platform, file)).status).toBe(200)
    expect(await rows(digestOf(file))).toEqual([{ owner: platform.id, state: 'complete', chunks: 1 }])
  })

  test('parts go on where HEAD says; only whole chunks count', async () => {
    const file = copyOf(2 * CHUNK_BYTES)
    const digest = digestOf(file)
    const cut = CHUNK_BYTES + 1_000
    const part = await upload(hub, platform, file, { range: [0, cut] })
    expect([part.status, part.json['offset'], part.json['complete']]).toEqual([202, CHUNK_BYTES, false])
    const asked = await head(hub, platform, digest)
    expect(asked.status).toBe(200)
    expect(Object.fromEntries(asked.headers)).toMatchObject({
      'upload-offset': String(CHUNK_BYTES),
      'upload-length': String(file.length),
      'upload-complete': '?0',
    })
    const wrong = await upload(hub, platform, file, { range: [cut, file.length] })
    expect([wrong.status, wrong.json['code']]).toEqual([409, 'file.offset_wrong'])
    const rest = await upload(hub, platform, file, { range: [CHUNK_BYTES, file.length] })
    expect([rest.status, rest.json['complete']]).toEqual([201, true])
    expect((await head(hub, platform, digest)).headers.get('upload-complete')).toBe('?1')
  })

  test('a file of whole chunks ends with one, sent at once or chunk by chunk', async () => {
    const drawing = (): Buffer => Buffer.concat([Buffer.from('AC1032'), randomBytes(2 * CHUNK_BYTES - 6)])
    const mediaType = 'image/vnd.dwg'
    const [whole, parts] = [drawing(), drawing()]
    expect((await upload(hub, platform, whole, { mediaType })).status).toBe(201)
    const first = await upload(hub, platform, parts, { mediaType, range: [0, CHUNK_BYTES] })
    expect(first.json['offset']).toBe(CHUNK_BYTES)
    const second = await upload(hub, platform, parts, { mediaType, range: [CHUNK_BYTES, parts.length] })
    expect(second.status).toBe(201)
    for (const file of [whole, parts]) {
      expect(await rows(digestOf(file))).toEqual([{ owner: platform.id, state: 'complete', chunks: 2 }])
    }
  })

  test('an SM3 digest is as good', async () => {
    const file = copyOf()
    const digest = digestOf(file, 'sm3')
    expect((await upload(hub, platform, file, { digest })).status).toBe(201)
    const wrong = digestOf(copyOf(), 'sm3')
    expect((await upload(hub, platform, file, { digest: wrong })).json['code']).toBe('file.digest_wrong')
  })

  test('a wrong digest is refused and nothing of it stays; the right bytes can be sent then', async () => {
    const file = copyOf(CHUNK_BYTES)
    const digest = digestOf(file)
    const forged = Buffer.from(file)
    forged[file.length - 30] = 1 + (forged[file.length - 30] ?? 0)
    const refused = await upload(hub, platform, forged, { digest })
    expect([refused.status, refused.json['code']]).toEqual([422, 'file.digest_wrong'])
    expect(await rows(digest)).toEqual([])
    expect((await upload(hub, platform, file)).status).toBe(201)
  })

  describe('what is not of its media type is refused and discarded', () => {
    const png = Buffer.concat([Buffer.from('\u0089PNG\r\n\u001a\n', 'latin1'), randomBytes(100)])
    const noRoot = zip([{ name: 'Doc_0/OFD.xml', data: Buffer.from('x') }])
    const whole = copyOf()
    test.each<[string, string, Buffer]>([
      ['an image as an OFD', OFD, png],
      ['an OFD as a PDF', 'application/pdf', whole],
      ['a zip without OFD.xml at its root', OFD, noRoot],
      ['a zip without its end', OFD, whole.subarray(0, -22)],
      [
        'a zip whose directory lies outside',
        OFD,
        Buffer.concat([whole.subarray(0, -6), Buffer.from([255, 255, 255, 127, 0, 0])]),
      ],
      ['text before the zip', OFD, Buffer.concat([Buffer.from('x'), whole])],
      ['one byte', OFD, Buffer.from('P')],
      ['an image as a drawing, over several chunks', 'image/vnd.dwg', Buffer.concat([png, randomBytes(600_000)])],
    ])('%s', async (_, mediaType, bytes) => {
      const refused = await upload(hub, platform, bytes, { mediaType })
      expect([refused.status, refused.json['code']]).toEqual([422, 'file.content_wrong'])
      expect(await rows(digestOf(bytes))).toEqual([])
    })

    test.each<[string, Buffer]>([
      ['image/png', png],
      ['image/jpeg', Buffer.from('\u00ff\u00d8\u00ff\u00e0 JFIF', 'latin1')],
      ['image/vnd.dwg', Buffer.from('AC1032 drawing')],
      ['application/pdf', Buffer.from('%PDF-1.7\n')],
    ])('%s passes', async (mediaType, bytes) => {
      expect((await upload(hub, platform, bytes, { mediaType })).status).toBe(201)
    })

    test('a media type that no contract carries is told apart', async () => {
      const refused = await upload(hub, platform, Buffer.from('<a/>'), { mediaType: 'application/xml' })
      expect([refused.status, refused.json['code']]).toEqual([415, 'http.unsupported_media_type'])
    })
  })

  describe('a size that is a lie', () => {
    test.each<
      [string, (file: Buffer) => { range?: [number, number]; headers: Record<string, string> }, number, string]
    >([
      [
        'more bytes than declared',
        (f) => ({ headers: { 'content-length': String(f.length - 5) } }),
        422,
        'file.size_wrong',
      ],
      [
        'fewer bytes than declared',
        (f) => ({ headers: { 'content-length': String(f.length + 5) } }),
        422,
        'file.size_wrong',
      ],
      ['no bytes', () => ({ headers: { 'content-length': '0' } }), 400, 'http.bad_request'],
      ['a length that is no number', () => ({ headers: { 'content-length': '1e3' } }), 400, 'http.bad_request'],
      [
        'a range beyond the size',
        (f) => ({ headers: { 'content-range': `bytes 0-${f.length}/${f.length}` } }),
        400,
        'http.bad_request',
      ],
      ['a range turned round', () => ({ headers: { 'content-range': 'bytes 9-3/100' } }), 400, 'http.bad_request'],
      ['a range of another length', () => ({ headers: { 'content-range': 'bytes 0-8/100' } }), 400, 'http.bad_request'],
      ['a range in other words', () => ({ headers: { 'content-range': 'bytes */100' } }), 400, 'http.bad_request'],
      [
        'a smaller total than the file has',
        (f) => ({ headers: { 'content-length': '4', 'content-range': 'bytes 0-3/4' }, range: [0, f.length] }),
        422,
        'file.size_wrong',
      ],
    ])('%s', async (_, lie, status, code) => {
      const file = copyOf()
      const { headers } = lie(file)
      const refused = await upload(hub, platform, file, { headers })
      expect([refused.status, refused.json['code']]).toEqual([status, code])
      expect((await head(hub, platform, digestOf(file))).headers.get('upload-complete')).not.toBe('?1')
    })

    test('a total that becomes another one on the way is an upload that does not exist', async () => {
      const file = copyOf(2 * CHUNK_BYTES)
      await upload(hub, platform, file, { range: [0, CHUNK_BYTES] })
      const other = Buffer.concat([file, Buffer.from('more')])
      const refused = await upload(hub, platform, other, { digest: digestOf(file), range: [CHUNK_BYTES, other.length] })
      expect(refused.json['code']).toBe('file.offset_wrong')
    })
  })

  test('two parties upload the same file at once, each its own; neither can go on with the upload of the other', async () => {
    const file = copyOf(2 * CHUNK_BYTES)
    const digest = digestOf(file)
    await upload(hub, platform, file, { range: [0, CHUNK_BYTES] })
    const stolen = await upload(hub, other, file, { range: [CHUNK_BYTES, file.length] })
    expect([stolen.status, stolen.json['code']]).toEqual([409, 'file.offset_wrong'])
    expect((await head(hub, other, digest)).status).toBe(404)
    const both = await Promise.all([
      upload(hub, platform, file, { range: [CHUNK_BYTES, file.length] }),
      upload(hub, other, file),
    ])
    expect(both.map(({ status }) => status)).toEqual([201, 201])
    expect(await rows(digest)).toEqual([
      { owner: platform.id, state: 'complete', chunks: 3 },
      { owner: other.id, state: 'complete', chunks: 3 },
    ])
  })

  test('of two requests for one upload the later one has it, and the bytes of both never mix', async () => {
    const file = copyOf(4 * CHUNK_BYTES)
    const answers = await Promise.all(Array.from({ length: 4 }, () => upload(hub, platform, file)))
    const told = answers.map(({ status, json }) => `${status} ${String(json['code'])}`)
    expect(told.filter((one) => /^20[01]/.test(one)).length).toBeGreaterThan(0)
    expect(told.filter((one) => !/^(20[01]|409 file.offset_wrong)/.test(one))).toEqual([])
    expect(await rows(digestOf(file))).toEqual([{ owner: platform.id, state: 'complete', chunks: 5 }])
  })

  test('the name of a file is a digest and nothing else', async () => {
    for (const name of [
      '..%2f..%2fetc%2fpasswd',
      `sha-256:${'A'.repeat(42)}B`,
      `md5:${'A'.repeat(43)}`,
      'sha-256:..',
      '%00',
    ]) {
      const path = `/v1/files/${name}`
      const { pathname } = new URL(path, 'http://hub.test')
      const answer = await hub.request(path, {
        method: 'PUT',
        body: 'x',
        headers: {
          authorization: `Bearer ${platform.sign('request+jwt', { htm: 'PUT', htu: `http://hub.test${pathname}` })}`,
        },
      })
      expect([name, answer.status, answer.json['code']]).toEqual([name, 400, 'http.bad_request'])
    }
  })

  test('a party uploads only what some contract lets it send, and not above its cap', async () => {
    const file = copyOf()
    const refused = await upload(hub, hub.party('housing-nmg'), file)
    expect([refused.status, refused.json['code']]).toEqual([403, 'right.missing'])
    // An authority for licences may send OFD and PDF under business-licence@1, no drawings.
    const authority = hub.party('market-regulation-nmg')
    expect((await upload(hub, authority, file)).status).toBe(201)
    const drawing = await upload(hub, authority, Buffer.from('AC1032'), { mediaType: 'image/vnd.dwg' })
    expect(drawing.json['code']).toBe('right.missing')
    const large = await upload(hub, platform, Buffer.from('%PDF-'), {
      mediaType: 'application/pdf',
      headers: { 'content-length': '5', 'content-range': 'bytes 0-4/3145729' },
    })
    expect([large.status, large.json['code']]).toEqual([413, 'file.too_large'])
  })

  test('a token is for its method and its file', async () => {
    const file = copyOf()
    const digest = digestOf(file)
    const put = (authorization: string) =>
      hub.request(pathOf(digest), { method: 'PUT', body: Uint8Array.from(file), headers: { authorization } })
    for (const claims of [
      { htm: 'GET', htu: `http://hub.test${pathOf(digest)}` },
      { htm: 'PUT', htu: 'http://hub.test/v1/files/x' },
    ]) {
      expect((await put(`Bearer ${platform.sign('request+jwt', claims)}`)).json['code']).toBe('token.claims_invalid')
    }
  })

  test('nothing of a file stands at rest in the clear', async () => {
    const file = copyOf()
    await upload(hub, platform, file)
    const { rows: found } = await sql<{ n: number }>`
      SELECT count(*)::int AS n FROM file_chunk WHERE position('PK'::bytea IN sealed) = 1
        OR position('OFD.xml'::bytea IN sealed) > 0`.execute(hub.core.db)
    expect(found).toEqual([{ n: 0 }])
  })

  test('what is unfinished or unnamed counts against a quota, and is purged after seven days', async () => {
    const ningcheng = hub.party('platform-ningcheng')
    const files = [copyOf(2_097_152), copyOf(2_097_152)]
    const [first, second] = files as [Buffer, Buffer]
    expect((await upload(hub, ningcheng, first, { range: [0, CHUNK_BYTES] })).status).toBe(202)
    const refused = await upload(hub, ningcheng, second)
    expect([refused.status, refused.json['code']]).toEqual([507, 'file.quota_exceeded'])
    const small = copyOf()
    expect((await upload(hub, ningcheng, small)).status).toBe(201)

    expect(await purgeFiles(hub.core.db)).toBe(0)
    await sql`UPDATE file SET moved_at = now() - interval '7 days 1 minute' WHERE owner = ${ningcheng.id}`.execute(
      hub.core.db,
    )
    expect(await purgeFiles(hub.core.db)).toBe(2)
    expect(await rows(digestOf(first))).toEqual([])
    expect((await head(hub, ningcheng, digestOf(small))).status).toBe(404)
    expect((await upload(hub, ningcheng, second)).status).toBe(201)
  })

  test('one party has no more than eight transfers under way, and the others go on', async () => {
    const stuck = Array.from({ length: 8 }, () => {
      const file = copyOf()
      let release = (): void => undefined
      const body = new ReadableStream<Uint8Array>({
        start(controller) {
          controller.enqueue(Uint8Array.from(file.subarray(0, 10)))
          release = () => controller.error(new Error('gone'))
        },
      })
      const headers = {
        authorization: `Bearer ${platform.sign('request+jwt', { htm: 'PUT', htu: `http://hub.test${pathOf(digestOf(file))}` })}`,
        'content-type': OFD,
        'content-length': String(file.length),
      }
      const answer = hub.request(pathOf(digestOf(file)), {
        method: 'PUT',
        body,
        headers,
        duplex: 'half',
      } as RequestInit)
      return { answer, release: () => release() }
    })
    await expect.poll(async () => (await upload(hub, platform, copyOf())).json['code']).toBe('limit.exceeded')
    expect((await upload(hub, other, copyOf())).status).toBe(201)
    for (const { release } of stuck) release()
    await Promise.all(stuck.map(({ answer }) => answer))
    expect((await upload(hub, platform, copyOf())).status).toBe(201)
  })
})
