import { randomUUID } from 'node:crypto'
import { sql } from 'kysely'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { consentLookUps } from '#compose-consents.ts'
import { openedDocuments, sealedAccesses } from '#compose-vault.ts'
import { claimsOf } from '#delivery/outcomes.ts'
import { query } from '#documents/query.ts'
import { addKey, moveKey } from '#parties/keys.ts'
import { addParty, changeStatus } from '#parties/onboarding.ts'
import type { AccessRow } from '#store/access-queries.ts'
import type { CaseQuestion } from '#store/document-queries.ts'
import { registerActs } from '#store/register-act-queries.ts'
import { generateKeyPair } from '#trust/keys.ts'
import { createSigner } from '#trust/sign.ts'
import { withDatabase } from '../support/database.ts'
import { type Answer, openTestHub, type TestHub, type TestParty } from '../support/hub.ts'
import { application, licence, newNumber, result } from './messages.ts'

const OPERATOR = { by: 'operator', reason: 'a test' }
const told = ({ status, json }: Answer): unknown[] => [status, json['code']]

withDatabase('standing of parties and keys', (databaseUrl) => {
  let hub: TestHub
  beforeAll(async () => {
    hub = await openTestHub(databaseUrl)
  })
  afterAll(() => hub.close())

  const setStatus = async (party: string, status: 'active' | 'suspended'): Promise<void> => {
    await changeStatus(hub.core.db, party, status, OPERATOR)
    await hub.core.register.refresh()
  }
  const prove = (party: TestParty): Promise<Answer> => party.command('/v1/keys/proof')
  /** A new key of a party, registered and pending. */
  async function newKey(id: string): Promise<{ party: TestParty; kid: string }> {
    const { privateJwk, publicJwk, kid } = generateKeyPair('ES256')
    await addKey(hub.core.db, { party: id, jwk: publicJwk }, OPERATOR)
    await hub.core.register.refresh()
    return { party: hub.party(id, createSigner(privateJwk)), kid }
  }
  async function move(kid: string, to: 'verify-only' | 'retired' | 'revoked'): Promise<void> {
    await moveKey(hub.core.db, kid, to, OPERATOR)
    await hub.core.register.refresh()
  }

  test('a suspended party does nothing through any door, by itself or through its agent, and a resumed one goes on', async () => {
    const chifeng = hub.party('platform-chifeng')
    const ningcheng = hub.party('platform-ningcheng')
    await setStatus('platform-ningcheng', 'suspended')
    const byItself = await ningcheng.push(result(newNumber()))
    expect(told(byItself)).toEqual([403, 'party.suspended'])
    expect(await hub.verified(byItself.json['refusal'])).toMatchObject({ aud: 'platform-ningcheng' })
    expect(told(await chifeng.push({ ...result(newNumber()), obo: 'platform-ningcheng' }))).toEqual([
      403,
      'party.suspended',
    ])
    for (const path of ['/v1/inbox', `/v1/exchanges/${randomUUID()}`, '/v1/cases/A-1']) {
      expect(told(await ningcheng.get(path))).toEqual([403, 'party.suspended'])
    }
    expect((await chifeng.push(result(newNumber()))).status).toBe(202)
    await setStatus('platform-ningcheng', 'active')
    expect((await chifeng.push({ ...result(newNumber()), obo: 'platform-ningcheng' })).status).toBe(202)
    const acts = await registerActs(hub.core.db, 'platform-ningcheng')
    expect(acts.map(({ by, act, reason }) => [by, act, reason])).toEqual([
      ['operator', 'suspended', 'a test'],
      ['operator', 'active', 'a test'],
    ])
  })

  test('a long poll of a party that is suspended meanwhile ends with the refusal, and hands nothing out', async () => {
    const hohhot = hub.party('platform-hohhot')
    const polling = hohhot.get('/v1/inbox?wait=10')
    await setStatus('platform-hohhot', 'suspended')
    const utility = hub.party('inner-mongolia-power')
    const number = newNumber('MW')
    const pushed = await utility.push(application(number, { utility: utility.id, division: '150102' }))
    expect(pushed.status).toBe(202)
    await hub.settle()
    expect(told(await polling)).toEqual([403, 'party.suspended'])
    await setStatus('platform-hohhot', 'active')
    await hub.settle()
    expect((await hohhot.get('/v1/inbox')).json['deliveries']).toHaveLength(1)
  })

  test('an answer under way is withheld when its asker, or whom it asks for, is suspended or loses its key or mandate', async () => {
    const USCC = '91150402MADEM002XN'
    const number = newNumber('ME')
    expect((await hub.party('market-regulation-nmg').push(licence(USCC))).status).toBe(202)
    expect((await hub.party('state-grid-east').push(application(number, { applicant: USCC }))).status).toBe(202)
    await hub.settle()
    const { party: utility, kid } = await newKey('state-grid-east')
    expect((await prove(utility)).status).toBe(200)
    await hub.core.register.refresh()
    const ask = (meanwhile: () => Promise<void>, by = utility) => {
      const deps = {
        ...hub.core,
        hubId: hub.core.config.hubId,
        claimsOf,
        ...consentLookUps(hub.core),
        findCaseDocuments: async (question: CaseQuestion) => {
          await meanwhile()
          const [found] = await openedDocuments(hub.core.db, hub.core.vault, [question])
          return found ?? { caseId: undefined, subjectKeys: [], openedBy: undefined, documents: [] }
        },
        caseRecord: async () => undefined,
        recordAccess: async (row: AccessRow) => {
          const [outcome] = await sealedAccesses(hub.core, [row])
          return outcome ?? 'replayed'
        },
      }
      const claims = {
        contract: 'business-licence-query@1',
        sub: USCC,
        purpose: 'power-connection',
        legalBasis: 'duty',
        item: '11150000MB0000000X2000199001000',
        operator: 'staff-0042',
        caseNo: number,
      }
      return query(deps, by.sign('query+jwt', { ...claims, ...(by === utility ? {} : { obo: 'state-grid-east' }) }))
    }
    expect(await ask(async () => {})).toMatchObject({ kind: 'answered' })
    expect(await ask(() => setStatus('state-grid-east', 'suspended'))).toMatchObject({
      kind: 'refused',
      error: { code: 'party.suspended' },
    })
    await setStatus('state-grid-east', 'active')
    const agent = hub.party('inner-mongolia-power')
    await sql`INSERT INTO mandate (agent, principal, contract, valid_from) VALUES
      (${agent.id}, 'state-grid-east', 'business-licence-query@1', '2026-01-01')`.execute(hub.core.db)
    await hub.core.register.refresh()
    expect(await ask(async () => {}, agent)).toMatchObject({ kind: 'answered' })
    expect(await ask(() => setStatus('state-grid-east', 'suspended'), agent)).toMatchObject({
      kind: 'refused',
      error: { code: 'party.suspended' },
    })
    await setStatus('state-grid-east', 'active')
    const endMandate = async (): Promise<void> => {
      await sql`DELETE FROM mandate WHERE agent = ${agent.id}`.execute(hub.core.db)
      await hub.core.register.refresh()
    }
    expect(await ask(endMandate, agent)).toMatchObject({ kind: 'refused', error: { code: 'right.no_mandate' } })
    expect(await ask(() => move(kid, 'revoked'))).toMatchObject({
      kind: 'refused',
      error: { code: 'token.key_inactive' },
    })
  })

  test('a new key serves once its holder proved that it has the private half', async () => {
    const { party, kid } = await newKey('platform-nmg')
    expect(told(await party.push(result(newNumber())))).toEqual([401, 'token.key_inactive'])
    const proof = await prove(party)
    expect([proof.status, proof.json]).toEqual([200, { party: 'platform-nmg', kid, state: 'active' }])
    await hub.core.register.refresh()
    expect((await prove(party)).status).toBe(200)
    expect((await party.push(result(newNumber()))).status).toBe(202)
    expect((await registerActs(hub.core.db, 'platform-nmg')).map(({ act }) => act)).toEqual(['key added', 'key active'])
  })

  test('nobody proves a key that is not registered, not its own, or revoked', async () => {
    const stranger = hub.party('platform-nmg', createSigner(generateKeyPair('ES256').privateJwk))
    expect(told(await prove(stranger))).toEqual([401, 'token.key_unknown'])
    const { party, kid } = await newKey('platform-nmg')
    const other = hub.party('platform-hohhot', party.signer)
    expect(told(await prove(other))).toEqual([401, 'token.key_foreign'])
    await move(kid, 'revoked')
    expect(told(await prove(party))).toEqual([401, 'token.key_inactive'])
  })

  test('a replaced key serves for what it signed before, and for nothing it signs after', async () => {
    const { party, kid } = await newKey('platform-nmg')
    await prove(party)
    await hub.core.register.refresh()
    const before = party.exchange(result(newNumber()), { iat: Math.floor(Date.now() / 1000) - 30 })
    await move(kid, 'verify-only')
    expect((await hub.post('/v1/exchanges', before)).status).toBe(202)
    const after = party.exchange(result(newNumber()), { iat: Math.floor(Date.now() / 1000) + 1 })
    expect(told(await hub.post('/v1/exchanges', after))).toEqual([401, 'token.key_inactive'])
    await move(kid, 'retired')
    const late = party.exchange(result(newNumber()), { iat: Math.floor(Date.now() / 1000) - 30 })
    expect(told(await hub.post('/v1/exchanges', late))).toEqual([401, 'token.key_inactive'])
  })

  test('a key is registered once, for one party, and only when it is sound', async () => {
    const { publicJwk } = generateKeyPair('ES256')
    await addKey(hub.core.db, { party: 'platform-nmg', jwk: publicJwk }, OPERATOR)
    await expect(addKey(hub.core.db, { party: 'platform-hohhot', jwk: publicJwk }, OPERATOR)).rejects.toMatchObject({
      code: 'key.refused',
    })
    const { privateJwk } = generateKeyPair('ES256')
    await expect(addKey(hub.core.db, { party: 'platform-nmg', jwk: privateJwk }, OPERATOR)).rejects.toMatchObject({
      code: 'key.refused',
    })
  })

  test('a party is added once, and an unknown one is neither suspended nor given a key', async () => {
    const party = {
      id: 'platform-test',
      name: { zh: '测试平台', en: 'Test platform' },
      aliases: [],
      level: 'league' as const,
      divisions: ['150100'],
      roles: ['approval-platform'],
      channel: 'inbox' as const,
      busDoor: false,
    }
    await addParty(hub.core.db, party, OPERATOR)
    await expect(addParty(hub.core.db, party, OPERATOR)).rejects.toMatchObject({ code: 'party.exists' })
    await expect(changeStatus(hub.core.db, 'nobody', 'suspended', OPERATOR)).rejects.toMatchObject({
      code: 'party.unknown',
    })
    const { publicJwk } = generateKeyPair('ES256')
    await expect(addKey(hub.core.db, { party: 'nobody', jwk: publicJwk }, OPERATOR)).rejects.toMatchObject({
      code: 'party.unknown',
    })
    await sql`DELETE FROM party WHERE id = 'platform-test'`.execute(hub.core.db)
  })
})
