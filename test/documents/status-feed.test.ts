import { createHash, randomUUID } from 'node:crypto'
import { sql } from 'kysely'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { logReader } from '#compose-vault.ts'
import { claimsOf } from '#delivery/outcomes.ts'
import { type StatusFeedDeps, statusFeedStep } from '#documents/status-feed.ts'
import { HubError } from '#kernel/errors.ts'
import type { FaultPoint } from '#kernel/fault-point.ts'
import type { JsonObject } from '#kernel/json.ts'
import { application, licence, newNumber, STATED } from '../gateway/messages.ts'
import { withDatabase } from '../support/database.ts'
import { at, openTestHub, type TestHub } from '../support/hub.ts'

const UTILITIES = ['state-grid-east', 'inner-mongolia-power'] as const
const AUTHORITY = 'market-regulation-nmg'
/** A company for each test: their documents have nothing to do with each other. */
const COMPANIES = [
  '91150402MADEM002XN',
  '91150404MADEM00624',
  '91150702MADEM0070H',
  '91150429MADEM0046M',
  '91150102MADEM0011F',
  '92150602MADEM0038X',
  '91150105MADEM0089T',
]

withDatabase('who fetched a document', (databaseUrl) => {
  let hub: TestHub
  const left = [...COMPANIES]
  beforeAll(async () => {
    hub = await openTestHub(databaseUrl)
    // Its cursor passes what the seeds of other tests would need.
    await sql`UPDATE party SET channel = 'inbox' WHERE id = ANY (${[...UTILITIES]})`.execute(hub.core.db)
    await hub.core.register.refresh()
  })
  afterAll(() => hub.close())

  const publish = async (uscc: string, data: JsonObject): Promise<void> => {
    const answer = await hub.party(AUTHORITY).push(licence(uscc, data))
    expect(answer.status, answer.text).toBe(202)
  }
  const version = (n: number, status: string, change: JsonObject = {}): JsonObject => ({
    certificateVersion: String(n).padStart(3, '0'),
    status,
    statusTime: `2026-0${n}-01T08:00:00+08:00`,
    ...change,
  })
  /** A published licence, valid since January, with a case for each utility. */
  async function published(): Promise<{ uscc: string; fetch: (utility: string) => Promise<string> }> {
    const uscc = left.shift() ?? ''
    await publish(uscc, { ...version(1, '01'), validTo: '2041-03-14' })
    const numbers = new Map<string, string>()
    for (const utility of UTILITIES) {
      const number = newNumber('ME')
      numbers.set(utility, number)
      const division = utility === 'state-grid-east' ? '150402' : '150102'
      const message = application(number, { utility, division, applicant: uscc })
      expect((await hub.party(utility).push(message)).status).toBe(202)
    }
    await hub.settle()
    return {
      uscc,
      async fetch(utility) {
        const jti = randomUUID()
        const caseNo = numbers.get(utility)
        const contract = 'business-licence-query@1'
        const answer = await hub.party(utility).ask({ ...STATED, jti, contract, sub: uscc, caseNo })
        expect(answer.status, answer.text).toBe(200)
        return jti
      },
    }
  }

  const step = (fault?: FaultPoint, acceptOwn = accept, onUnusual?: StatusFeedDeps['onUnusual']): Promise<number> =>
    statusFeedStep({
      ...hub.core,
      hubId: 'dianqiao',
      ...logReader(hub.core.vault, hub.core.log),
      acceptOwn,
      ...(fault === undefined ? {} : { fault }),
      ...(onUnusual === undefined ? {} : { onUnusual }),
    })
  const accept = async (token: string): Promise<void> => {
    const result = await hub.core.acceptOwn(token)
    if (result.kind === 'refused') throw result.error
  }
  async function feed(): Promise<void> {
    while ((await step()) > 0);
    await hub.settle()
  }
  const opened = (sealed: Buffer): string => hub.core.vault.open(sealed).toString('latin1')
  /** The data of the notices that lie in an inbox about a query, in the order of the log. */
  async function told(utility: string, jti: string): Promise<JsonObject[]> {
    const { rows } = await sql<{ token: Buffer }>`
      SELECT e.token FROM delivery d JOIN exchange e ON e.id = d.exchange
      WHERE d.recipient = ${utility} AND e.contract = 'document-status@1' ORDER BY d.pos`.execute(hub.core.db)
    const all = await Promise.all(
      rows.map(async ({ token }) => (await hub.verified(opened(token)))['data'] as JsonObject),
    )
    return all.filter((data) => JSON.stringify(data).includes(jti))
  }

  test('is told once that it was suspended, with the query and the digest of what it got; nobody else is', async () => {
    const { uscc, fetch } = await published()
    const jti = await fetch('state-grid-east')
    await publish(uscc, version(2, '02'))
    await feed()
    await feed()
    const { rows } = await sql<{ token: Buffer }>`
      SELECT token FROM exchange WHERE contract = 'business-licence@1' AND sub = ${uscc} ORDER BY id`.execute(
      hub.core.db,
    )
    const digest = createHash('sha256')
      .update(opened(rows[0]?.token ?? Buffer.alloc(0)))
      .digest('base64url')
    expect(await told('state-grid-east', jti)).toEqual([
      {
        notice: expect.stringMatching(/^[0-9a-f-]{36}:state-grid-east$/),
        recipient: 'state-grid-east',
        document: 'business-licence@1',
        change: 'STATUS',
        previousStatus: 'ACTIVE',
        status: 'SUSPENDED',
        unusual: false,
        statusTime: '2026-02-01T00:00:00.000Z',
        queries: [{ jti, caseNo: expect.any(String), originalDigest: `sha-256:${digest}` }],
      },
    ])
    expect(await told('inner-mongolia-power', jti)).toEqual([])
    const inbox = await hub.party('state-grid-east').get('/v1/inbox?limit=50')
    const tokens = (inbox.json['deliveries'] as JsonObject[]).map(({ token }) =>
      at(claimsOf(String(token)), 'contract'),
    )
    expect(tokens).toContain('document-status@1')
  })

  test('is not told of a late arrival that did not win, nor by one who only asked for another company', async () => {
    const { uscc, fetch } = await published()
    await publish(uscc, version(4, '01'))
    await feed()
    const jti = await fetch('state-grid-east')
    await publish(uscc, version(3, '03'))
    await feed()
    expect(await told('state-grid-east', jti)).toEqual([])
  })

  test('two who fetched are told each, once a change, and again when it is restored; a notice that is refused keeps nobody else from it', async () => {
    const { uscc, fetch } = await published()
    const jtis = new Map<string, string>()
    for (const utility of UTILITIES) jtis.set(utility, await fetch(utility))
    await publish(uscc, version(2, '03'))
    const refuseOne = async (token: string): Promise<void> => {
      if (String(claimsOf(token)['sub']).endsWith('inner-mongolia-power'))
        throw new HubError('contract.schema_violated')
      await accept(token)
    }
    await expect(step(undefined, refuseOne)).rejects.toThrow('contract.schema_violated')
    await hub.settle()
    const toldFirst = await Promise.all([...jtis].map(([utility, jti]) => told(utility, jti)))
    expect(toldFirst.map((notices) => notices.map(({ status }) => status))).toEqual([['REVOKED'], []])
    await feed()
    await publish(uscc, version(3, '01'))
    const unusual: string[] = []
    await step(undefined, accept, ({ old_status, status }) => unusual.push(`${old_status} ${status}`))
    expect(unusual).toEqual(['REVOKED ACTIVE'])
    await feed()
    for (const [utility, jti] of jtis) {
      expect((await told(utility, jti)).map(({ status, unusual }) => [status, unusual])).toEqual([
        ['REVOKED', false],
        ['ACTIVE', true],
      ])
    }
  })

  test('a newer version is told as one, and a renewal under another identifier as a replacement, once', async () => {
    const { uscc, fetch } = await published()
    const jti = await fetch('state-grid-east')
    await publish(uscc, version(2, '01'))
    await feed()
    const old = String(licence(uscc).data['certificateIdentifier'])
    const renewed = { ...version(3, '01'), associatedCertificateId: old }
    const certificateIdentifier = '1.2.156.3005.2.11100000MB0143028R001.1115000001150T050D.20260000000000009001.001.X'
    await publish(uscc, { ...renewed, certificateIdentifier })
    await publish(uscc, { ...renewed, certificateIdentifier, certificateVersion: '004' })
    await feed()
    expect((await told('state-grid-east', jti)).map(({ change, status }) => [change, status])).toEqual([
      ['VERSION', 'ACTIVE'],
      ['REPLACED', 'ACTIVE'],
    ])
    const answer = await hub.party('state-grid-east').ask({
      ...STATED,
      contract: 'business-licence-query@1',
      sub: uscc,
      caseNo: await aCaseOf(uscc),
    })
    const documents = (await hub.verified(answer.text))['documents'] as JsonObject[]
    expect(documents.map(({ verdict }) => verdict).toSorted()).toEqual(['replaced', 'valid'])
  })

  async function aCaseOf(uscc: string): Promise<string> {
    const number = newNumber('ME')
    expect((await hub.party('state-grid-east').push(application(number, { applicant: uscc }))).status).toBe(202)
    await hub.settle()
    return number
  }

  test.each(['feed.before-commit', 'feed.before-mark'])(
    'a step that is cut off at %s tells the same, not more',
    async (point) => {
      const { uscc, fetch } = await published()
      const jti = await fetch('state-grid-east')
      await publish(uscc, version(2, '07'))
      const cut: FaultPoint = (name) => {
        if (name === point) throw new HubError('hub.store_unavailable')
      }
      await expect(
        (async () => {
          while ((await step(cut)) > 0);
        })(),
      ).rejects.toThrow()
      await feed()
      expect((await told('state-grid-east', jti)).map(({ status }) => status)).toEqual(['WITHDRAWN'])
    },
  )

  test('a notice that cannot be made durable stays due, and a suspended party is told when it is back', async () => {
    const { uscc, fetch } = await published()
    const jti = await fetch('state-grid-east')
    await publish(uscc, version(2, '04'))
    const refuse = async (): Promise<void> => {
      throw new HubError('hub.store_unavailable')
    }
    await expect(step(undefined, refuse)).rejects.toThrow('hub.store_unavailable')
    const setStatus = async (status: string): Promise<void> => {
      await sql`UPDATE party SET status = ${status} WHERE id = 'state-grid-east'`.execute(hub.core.db)
      await hub.core.register.refresh()
    }
    await setStatus('suspended')
    await feed()
    expect(await told('state-grid-east', jti)).toEqual([])
    await setStatus('active')
    await feed()
    expect((await told('state-grid-east', jti)).map(({ status }) => status)).toEqual(['CANCELLED'])
  })

  test('a fetch that was recorded after the change was looked at is told when it is looked at again', async () => {
    const change = await sql<{ id: string; recipient: string }>`
      DELETE FROM document_notice USING document_change c WHERE change = c.id AND c.status = 'CANCELLED'
      RETURNING c.id, recipient`.execute(hub.core.db)
    expect(change.rows).toHaveLength(1)
    const due = async (): Promise<number> =>
      (await sql`SELECT FROM document_notice WHERE change = ${change.rows[0]?.id}`.execute(hub.core.db)).rows.length
    await step()
    expect(await due()).toBe(0)
    await sql`UPDATE document_change SET looked_at = now() - interval '1 hour'`.execute(hub.core.db)
    await step()
    expect(await due()).toBe(1)
  })
})
