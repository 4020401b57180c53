import { spawnSync } from 'node:child_process'
import { join } from 'node:path'
import { sql } from 'kysely'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { PROJECT_ROOT } from '#compose.ts'
import { statementStep } from '#documents/statements.ts'
import type { JsonObject } from '#kernel/json.ts'
import { application, licence, newNumber } from '../gateway/messages.ts'
import { withDatabase } from '../support/database.ts'
import { at, ndjson, openTestHub, type TestHub } from '../support/hub.ts'

const COMPANY = '91150402MADEM002XN'
const PROVIDER = 'market-regulation-nmg'
const IN_NOVEMBER = Date.parse('2026-11-15T12:00:00+08:00')

withDatabase('what a provider is told of its data', (databaseUrl) => {
  let hub: TestHub
  const number = newNumber('ME')
  beforeAll(async () => {
    hub = await openTestHub(databaseUrl)
    expect((await hub.party(PROVIDER).push(licence(COMPANY))).status).toBe(202)
    expect((await hub.party('state-grid-east').push(application(number, { applicant: COMPANY }))).status).toBe(202)
    await hub.settle()
    const ask = (change: object) =>
      hub.party('state-grid-east').ask({
        contract: 'business-licence-query@1',
        sub: COMPANY,
        purpose: 'power-connection',
        legalBasis: 'duty',
        item: '11150000MB0000000X2000199001000',
        operator: 'staff-0042',
        caseNo: number,
        ...change,
      })
    for (const fields of [['entityName'], ['entityName'], ['status']]) expect((await ask({ fields })).status).toBe(200)
    for (const purpose of ['marketing', 'marketing']) expect((await ask({ purpose })).status).toBe(403)
    await sql`UPDATE access_record SET answered_at = '2026-10-31T23:59:59+08:00'`.execute(hub.core.db)
    await sql`UPDATE access_record SET answered_at = '2026-11-01T00:00:00+08:00' WHERE fields = '{status}'`.execute(
      hub.core.db,
    )
    await sql`UPDATE refusal SET refused_at = '2026-10-01T00:00:00+08:00'`.execute(hub.core.db)
  })
  afterAll(() => hub.close())

  const step = (nowMs: number): Promise<number> =>
    statementStep({
      ...hub.core,
      hubId: 'dianqiao',
      // Statements are about the month that is over; their notices are as fresh as any.
      clock: () => nowMs,
      signer: {
        ...hub.core.signer,
        sign: (typ, claims) => {
          const iat = Math.floor(Date.now() / 1_000)
          return hub.core.signer.sign(typ, { ...claims, iat, exp: iat + 300 })
        },
      },
      acceptOwn: async (token) => {
        const result = await hub.core.acceptOwn(token)
        if (result.kind === 'refused') throw result.error
      },
    })

  test('each month once: who read which fields, for what, in how many cases, and what was refused', async () => {
    expect(await step(IN_NOVEMBER)).toBe(1)
    expect(await step(IN_NOVEMBER)).toBe(0)
    await hub.settle()
    const inbox = (await hub.party(PROVIDER).get('/v1/inbox')).json['deliveries'] as JsonObject[]
    expect(inbox).toHaveLength(1)
    const claims = await hub.verified(inbox[0]?.['token'])
    expect(claims).toMatchObject({ iss: 'dianqiao', jti: expect.stringMatching(/^statement-2026-10-[\w-]{16}$/) })
    expect(at(claims, 'data')).toEqual({
      statement: `${PROVIDER}:2026-10`,
      provider: PROVIDER,
      month: '2026-10',
      accesses: [
        {
          asker: 'state-grid-east',
          contract: 'business-licence-query@1',
          purpose: 'power-connection',
          legalBasis: 'duty',
          fields: ['entityName'],
          queries: 2,
          documents: 2,
          cases: 1,
        },
      ],
      refusals: [
        { asker: 'state-grid-east', contract: 'business-licence-query@1', code: 'query.grant_missing', queries: 2 },
      ],
      omitted: 0,
    })
  })

  test('a step that was cut off before it noted the month sends the same statements, not further ones', async () => {
    await sql`DELETE FROM statement_month`.execute(hub.core.db)
    const before = (await sql`SELECT FROM exchange`.execute(hub.core.db)).rows.length
    expect(await step(IN_NOVEMBER)).toBe(1)
    expect((await sql`SELECT FROM exchange`.execute(hub.core.db)).rows.length).toBe(before)
  })

  test('a subject’s disclosures are listed by its number, which is read from stdin', () => {
    const { dataDir } = hub.core.config
    const run = (input: string) =>
      spawnSync(process.execPath, [join(PROJECT_ROOT, 'src/main.ts'), 'subject', 'disclosures', '--code-type', '001'], {
        encoding: 'utf8',
        input,
        env: { ...process.env, DATA_DIR: dataDir, DATABASE_URL: databaseUrl },
      })
    const { status, stdout } = run(`${COMPANY}\n`)
    expect(status).toBe(0)
    const lines = ndjson(stdout)
    expect(lines.map(({ way }) => way).toSorted()).toEqual(['delivery', 'query', 'query', 'query'])
    expect(lines[0]).toMatchObject({ asker: 'state-grid-east', purpose: 'power-connection', fields: ['entityName'] })
    expect(stdout).not.toContain(COMPANY)
    expect(ndjson(run('91150404MADEM00624\n').stdout)).toEqual([])
    expect(run('').status).toBe(2)
  })
})
