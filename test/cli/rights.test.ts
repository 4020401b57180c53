import { spawnSync } from 'node:child_process'
import { join } from 'node:path'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { PROJECT_ROOT } from '#compose.ts'
import { application, licence, newNumber } from '../gateway/messages.ts'
import { consent, withdrawal } from '../gateway/rights-messages.ts'
import { withDatabase } from '../support/database.ts'
import { at, ndjson, openTestHub, type TestHub } from '../support/hub.ts'

const COMPANY = '91150402MADEM002XN'

withDatabase('what an operator asks about rights', (databaseUrl) => {
  let hub: TestHub
  beforeAll(async () => {
    hub = await openTestHub(databaseUrl)
  })
  afterAll(() => hub.close())

  function run(...args: string[]) {
    const { status, stdout, stderr } = spawnSync(process.execPath, [join(PROJECT_ROOT, 'src/main.ts'), ...args], {
      encoding: 'utf8',
      env: { ...process.env, DATA_DIR: hub.core.config.dataDir, DATABASE_URL: databaseUrl },
    })
    return { status, stdout, stderr, lines: ndjson(stdout) }
  }

  test('a consent is shown with its use and its end, without its subject', async () => {
    const [platform, utility] = [hub.party('platform-chifeng'), hub.party('state-grid-east')]
    const ref = newNumber('CF')
    const caseNo = newNumber('ME')
    for (const [party, message] of [
      [hub.party('market-regulation-nmg'), licence(COMPANY)],
      [utility, application(caseNo, { applicant: COMPANY })],
      [platform, consent(ref, COMPANY)],
    ] as const) {
      expect((await party.push(message)).status).toBe(202)
    }
    await hub.settle()
    const question = { sub: COMPANY, purpose: 'power-connection', legalBasis: 'consent', consentRef: ref, caseNo }
    const asked = { ...question, contract: 'business-licence-query@1', item: '1'.repeat(31), operator: 'staff-0042' }
    expect((await utility.ask(asked)).status).toBe(200)
    expect((await platform.push(withdrawal(ref))).status).toBe(202)

    const { status, stdout, lines } = run('consent', 'show', ref)
    expect(status).toBe(0)
    expect(lines).toEqual([
      expect.objectContaining({
        issuer: 'platform-chifeng',
        ref,
        recipient: 'state-grid-east',
        documents: [{ document: 'business-licence@1', fields: null }],
        validTo: '2099-12-31',
        withdrawnAt: expect.stringMatching(/^20/),
        fetches: 1,
      }),
    ])
    expect(stdout).not.toContain(COMPANY)
  }, 30_000)

  test('a consent that nobody recorded is the answer no', () => {
    expect(run('consent', 'show', 'CF-NOTHING')).toMatchObject({ status: 3, lines: [] })
  }, 30_000)

  test('why a grant covers a query is told with its dataset, and an unknown contract is no answer', () => {
    const why = (contract: string, purpose: string) =>
      run(
        'grant',
        'why',
        '--party',
        'state-grid-east',
        '--contract',
        contract,
        '--purpose',
        purpose,
        '--legal-basis',
        'duty',
      )
    const covered = why('business-licence-query@1', 'power-connection')
    expect(covered.status).toBe(0)
    expect(covered.lines[0]).toMatchObject({ covers: true, datasets: [{ shareType: 'conditional' }] })
    const uncovered = why('business-licence-query@1', 'marketing')
    expect(uncovered.status).toBe(3)
    expect(at(uncovered.lines[0], 'reasons', 1, 'rule')).toBe('contract.purpose')
    expect(why('business-licence@1', 'power-connection')).toMatchObject({ status: 1, lines: [] })
  }, 60_000)
})
