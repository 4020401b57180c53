import { once } from 'node:events'
import { cpSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import { tmpdir } from 'node:os'
import path from 'node:path'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { startLookUps } from '#cli/boot-lookups.ts'
import { CONNECTORS, openLookUps } from '#compose-lookups.ts'
import { readConfig } from '#config.ts'
import type { LookUpPeer } from '#sandbox/lookup-peer.ts'
import { application, licence, newNumber } from './gateway/messages.ts'
import { withDatabase } from './support/database.ts'
import { at, openTestHub, type TestHub } from './support/hub.ts'

const COMPANY = '91150402MADEM002XN'

withDatabase('the look-ups of a gateway', (databaseUrl) => {
  let hub: TestHub
  const root = mkdtempSync(path.join(tmpdir(), 'dianqiao-compose-lookups-'))
  const secretFile = path.join(root, 'key')
  beforeAll(async () => {
    writeFileSync(secretFile, 'app-key\n')
    hub = await openTestHub(databaseUrl)
  })
  afterAll(async () => {
    await hub.close()
    rmSync(root, { recursive: true, force: true })
  })

  const started = async (env: Record<string, string>): Promise<Map<string, LookUpPeer>> => {
    const config = readConfig({ DATABASE_URL: databaseUrl, ...env }, false)
    const peers = new Map<string, LookUpPeer>()
    const lookUps = await startLookUps({ ...hub.core, config }, peers)
    lookUps.stop()
    for (const peer of peers.values()) await peer.stop()
    return peers
  }

  test('with a sandbox each has a peer; without one nothing is started, and the log says what is never asked', async () => {
    expect([...(await started({ SANDBOX: 'on' })).keys()].toSorted()).toEqual(['identity-service', 'licence-library'])
    const before = hub.logged.length
    expect((await started({})).size).toBe(0)
    const warned = hub.logged.slice(before).map(({ message }) => message)
    expect(warned.toSorted()).toEqual([
      'look-up identity-service: no address is configured; it is never asked',
      'look-up licence-library: no address is configured; it is never asked',
    ])
  })

  test('an address needs the secret that the manifest asks for', async () => {
    const address = { ENDPOINT_LICENCE_LIBRARY: 'http://127.0.0.1:9' }
    await expect(started(address)).rejects.toMatchObject({ code: 'config.invalid' })
    const nowhere = { ...address, ENDPOINT_LICENCE_LIBRARY_SECRET_FILE: path.join(root, 'none') }
    await expect(started(nowhere)).rejects.toMatchObject({ code: 'config.invalid' })
    expect((await started({ ...address, ENDPOINT_LICENCE_LIBRARY_SECRET_FILE: secretFile })).size).toBe(0)
  })

  test('an answer as large as fifty documents is read whole', async () => {
    const padding = 'x'.repeat(500_000)
    const server = createServer((_, response) => {
      response.end(JSON.stringify({ padding, head: { code: '1001', message: 'none' }, data: {} }))
    }).listen(0, '127.0.0.1')
    await once(server, 'listening')
    const { port } = server.address() as AddressInfo
    const { looking, stop } = await openLookUps(hub.core, async () => ({
      url: `http://127.0.0.1:${port}`,
      secret: 'key',
    }))
    const question = {
      ...{ contract: 'licence-library-query@1', data: { uscc: COMPANY }, party: 'state-grid-east' },
      ...{ purpose: 'power-connection', legalBasis: 'duty', item: 'item', operator: 'staff-0042', caseNo: 'ME-1' },
      ...{ askedAt: '2026-11-25T00:00:00Z', requestId: 'request-1' },
    }
    const judge = () => ({ documents: [], keepUntilMs: 0 })
    const found = await looking.lookUps.ask({ connector: 'licence-library', question, caseId: 'c', known: '', judge })
    stop()
    server.close()
    expect(found).toMatchObject({ state: 'live', documents: [] })
  })

  test('a contract whose look-up nobody makes keeps the gateway from starting', async () => {
    cpSync(path.join(CONNECTORS, 'licence-library'), path.join(root, 'licence-library'), { recursive: true })
    await expect(openLookUps(hub.core, async () => undefined, root)).rejects.toThrow('real-person-check@1')
    const manifest = path.join(root, 'licence-library', 'connector.yaml')
    writeFileSync(manifest, readFileSync(manifest, 'utf8').replace('licence-library-query@1:', 'other-query@1:'))
    await expect(openLookUps(hub.core, async () => undefined, root)).rejects.toThrow('licence-library-query@1')
  })

  test('a hub that looks nothing up answers from what it holds, and says so; without anything held 503', async () => {
    const utility = hub.party('state-grid-east')
    const number = newNumber('ME')
    expect((await utility.push(application(number, { applicant: COMPANY }))).status).toBe(202)
    await hub.settle()
    const question = {
      contract: 'licence-library-query@1',
      sub: COMPANY,
      caseNo: number,
      purpose: 'power-connection',
      legalBasis: 'duty',
      item: '11150000MB0000000X2000199001000',
      operator: 'staff-0042',
    }
    const nothing = await utility.ask(question)
    expect([nothing.status, nothing.json['code']]).toEqual([503, 'peer.unavailable'])
    expect(nothing.headers.get('retry-after')).toBe('5')
    expect((await hub.party('market-regulation-nmg').push(licence(COMPANY))).status).toBe(202)
    const claims = await hub.verified((await utility.ask(question)).text)
    expect(at(claims, 'lookUps', 0)).toMatchObject({ state: 'fallback', circuit: 'open', cause: 'peer.unavailable' })
  })
})
