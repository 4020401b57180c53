import { randomUUID } from 'node:crypto'
import { sql } from 'kysely'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { withNamings } from '#exchange/naming.ts'
import { licenceCopy } from '#sandbox/ofd.ts'
import type { ExchangeRow } from '#store/log-commit.ts'
import { licence, newNumber, result } from '../gateway/messages.ts'
import { withDatabase } from '../support/database.ts'
import { certificate, digestOf, fileObject, upload } from '../support/files.ts'
import { type Answer, at, ndjson, openTestHub, type TestHub, type TestParty } from '../support/hub.ts'

let serial = 0
const copyOf = (): Buffer => licenceCopy(`named ${serial++}`)
const FILE = '/resultCertificate/file'

withDatabase('an exchange that names a file', (databaseUrl) => {
  let hub: TestHub
  let platform: TestParty
  let other: TestParty
  beforeAll(async () => {
    hub = await openTestHub(databaseUrl)
    platform = hub.party('platform-chifeng')
    other = hub.party('platform-hohhot')
  })
  afterAll(() => hub.close())

  const naming = (file: object) => result(newNumber(), certificate(file) as never)
  const told = ({ status, json }: Answer) => [status, json['code'], at(json['violations'], 0, 'pointer')]
  const namings = async (): Promise<number> =>
    (await sql<{ n: number }>`SELECT count(*)::int AS n FROM file_naming`.execute(hub.core.db)).rows[0]?.n ?? 0

  test('is accepted once the file is there whole, and refused with its place before; the jti is not used up', async () => {
    const file = copyOf()
    const jti = randomUUID()
    const message = naming(fileObject(file))
    const early = await platform.push(message, { jti })
    expect(told(early)).toEqual([422, 'file.missing', `${FILE}/digest`])
    expect((await hub.verified(early.json['refusal']))['problem']).toMatchObject({ code: 'file.missing', status: 422 })
    await upload(hub, platform, file, { range: [0, 10] })
    expect((await platform.push(message, { jti })).status).toBe(422)
    await upload(hub, platform, file)
    expect((await platform.push(message, { jti })).status).toBe(202)
    expect((await platform.push(message, { jti })).status).toBe(200)
    expect(await namings()).toBe(1)
  })

  describe('is refused', () => {
    const YESTERDAY = new Date(Date.now() - 86_400_000).toISOString()
    test.each<[string, object, string, string]>([
      ['when it says another size', { bytes: 7 }, 'file.mismatch', '/bytes'],
      ['when it says another media type', { mediaType: 'application/pdf' }, 'file.mismatch', '/mediaType'],
      ['when its copy has expired', { copyExpiresAt: YESTERDAY }, 'file.copy_expired', '/copyExpiresAt'],
      ['when the contract carries none so large', { bytes: 67_108_865 }, 'file.not_carried', '/bytes'],
      ['when the digest is none', { digest: 'sha-256:x' }, 'contract.schema_violated', '/digest'],
    ])('%s', async (_, change, code, pointer) => {
      const file = copyOf()
      await upload(hub, platform, file)
      const before = await namings()
      expect(told(await platform.push(naming(fileObject(file, change))))).toEqual([422, code, FILE + pointer])
      expect(await namings()).toBe(before)
    })

    test('when somebody else has uploaded the file', async () => {
      const file = copyOf()
      await upload(hub, other, file)
      expect(told(await platform.push(naming(fileObject(file))))).toEqual([422, 'file.missing', `${FILE}/digest`])
    })

    test('when its contract carries other types', async () => {
      const authority = hub.party('market-regulation-nmg')
      const file = fileObject(copyOf(), { mediaType: 'image/png' })
      const copy = { createdAt: YESTERDAY, creator: 'x', cause: 'x', expiresAt: file.copyExpiresAt, file }
      const answer = await authority.push(licence('91150402MADEM002XN', { copy } as never))
      expect(told(answer)).toEqual([422, 'file.not_carried', '/copy/file/mediaType'])
    })
  })

  test('is accepted for a principal whose file it is, or with the file of its agent', async () => {
    const agent = hub.party('platform-chifeng')
    const principal = hub.party('platform-ningcheng')
    for (const uploader of [agent, principal]) {
      const file = copyOf()
      await upload(hub, uploader, file)
      const answer = await agent.push({ ...naming(fileObject(file)), obo: principal.id })
      expect(answer.status, answer.text).toBe(202)
    }
  })

  test('a refused one takes none of its neighbours with it, and each of one key keeps its place', async () => {
    const file = copyOf()
    await upload(hub, platform, file)
    const affairNo = newNumber()
    const lines = [
      certificate(fileObject(file)),
      {},
      certificate(fileObject(copyOf())),
      certificate(fileObject(file)),
      {},
    ].map((data) => platform.exchange(result(affairNo, data as never)))
    const body = lines.map((token) => JSON.stringify({ token })).join('\n')
    const answer = await hub.post('/v1/exchanges/batch', body, { 'content-type': 'application/x-ndjson' })
    const answers = ndjson(answer.text).slice(0, -1)
    expect(answers.map((line) => at(line['problem'], 'code'))).toEqual([
      undefined,
      undefined,
      'file.missing',
      undefined,
      undefined,
    ])
    const { rows } = await sql<{ id: string }>`
      SELECT e.id FROM log l JOIN exchange e ON e.id = l.exchange WHERE e.sub = ${affairNo} ORDER BY l.pos`.execute(
      hub.core.db,
    )
    expect(rows.map(({ id }) => id)).toEqual(
      answers.flatMap((line) => (line['exchange'] === undefined ? [] : [line['exchange']])),
    )
  })

  test.each([
    ['keeps what its own row names when it is repeated after it was committed', (id: string) => id, 1],
    ['gives up what a row names that another exchange stands for', () => randomUUID(), 0],
  ] as const)('a batch %s', async (_, standing, kept) => {
    const file = copyOf()
    await upload(hub, platform, file)
    const { digest, bytes, mediaType } = fileObject(file) as { digest: string; bytes: number; mediaType: string }
    const named = { pointer: FILE, digest, bytes, mediaType, copyExpiresAtMs: Date.now() + 60_000 }
    const row = { id: randomUUID(), iss: platform.id, obo: undefined, files: [named] } as unknown as ExchangeRow
    const seen = {
      kind: 'seen',
      exchange: standing(row.id),
      contentDigest: '',
      receipt: '',
      refusal: undefined,
    } as const
    expect(await withNamings(hub.core.db, async () => [seen])([row])).toEqual([seen])
    const { rows } = await sql`SELECT FROM file_naming WHERE exchange = ${row.id}`.execute(hub.core.db)
    expect(rows).toHaveLength(kept)
  })

  test('the same one again answers the original receipt, though its file and its time are gone', async () => {
    const file = copyOf()
    await upload(hub, platform, file)
    const soon = new Date(Date.now() + 1_500).toISOString()
    const message = naming(fileObject(file, { copyExpiresAt: soon }))
    const jti = randomUUID()
    const first = await platform.push(message, { jti })
    expect(first.status, first.text).toBe(202)
    await expect.poll(() => Date.now() > Date.parse(soon), { timeout: 3_000 }).toBe(true)
    const again = await platform.push(message, { jti })
    expect([again.status, again.text]).toEqual([200, first.text])
    expect(told(await platform.push(message))).toEqual([422, 'file.copy_expired', `${FILE}/copyExpiresAt`])
    expect(digestOf(file)).toMatch(/^sha-256:/)
  })
})
