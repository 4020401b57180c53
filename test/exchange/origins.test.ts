import { randomUUID } from 'node:crypto'
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { PROJECT_ROOT } from '#compose.ts'
import type { Contract } from '#contracts/contract.ts'
import { type Acceptance, type AcceptDeps, accept, acceptOwn } from '#exchange/accept.ts'
import { acceptPlain } from '#exchange/accept-plain.ts'
import type { PlainHeader } from '#exchange/prove-plain.ts'
import type { JsonObject } from '#kernel/json.ts'
import { ORIGINS, type Origin } from '#kernel/origin.ts'
import { addKey } from '#parties/keys.ts'
import type { ExchangeRow } from '#store/log-commit.ts'
import { setKeyState } from '#store/register-act-queries.ts'
import { generateKeyPair } from '#trust/keys.ts'
import { appKeySecret } from '#trust/mac.ts'
import { createSigner, type Signer } from '#trust/sign.ts'
import { acknowledgement, newNumber, result } from '../gateway/messages.ts'
import { issue, type PlainKey, signedHeaders } from '../gateway/plain-client.ts'
import { withDatabase } from '../support/database.ts'
import { openTestHub, type TestHub } from '../support/hub.ts'

const PLATFORM = 'platform-chifeng'
const CONNECTOR = 'connector-state-grid-east'
const EXAMPLE = join(PROJECT_ROOT, 'schemas/non-delivery/examples/valid/expired.json')
const EXPIRED = JSON.parse(readFileSync(EXAMPLE, 'utf8')) as JsonObject
const AGENT = 'agent-of-chifeng'

/** How an exchange of each origin comes in, by every door that it can come by. */
const DOORS = [
  ['party-signed', 'HTTP or a line of a batch'],
  ['party-signed', 'Kafka'],
  ['party-signed', 'a notice of the hub itself'],
  ['agent-signed', 'HTTP or a line of a batch'],
  ['agent-signed', 'Kafka'],
  ['mac-attested', 'plain'],
  ['connector-attested', 'a connector for its utility'],
] as const satisfies readonly (readonly [Origin, string])[]

const cases = DOORS.flatMap(([origin, door]) =>
  ORIGINS.map((least) => ({ origin, door, least, expected: ORIGINS.indexOf(origin) >= ORIGINS.indexOf(least) })),
)

withDatabase('origin and minOrigin', (databaseUrl) => {
  let hub: TestHub
  let agent: Signer
  let plainKey: PlainKey
  beforeAll(async () => {
    hub = await openTestHub(databaseUrl)
    const pair = generateKeyPair('ES256')
    agent = createSigner(pair.privateJwk)
    await addKey(hub.core.db, { party: PLATFORM, agent: AGENT, jwk: pair.publicJwk }, { by: 'a test' })
    await hub.core.db.transaction().execute((tx) => setKeyState(tx, pair.kid, 'active', ['pending']))
    plainKey = await issue(hub, PLATFORM)
  })
  afterAll(() => hub.close())

  /** The acceptance path up to the commit, under contracts that ask for this origin at least. */
  function pathWith(least: Origin): { deps: AcceptDeps; rows: ExchangeRow[] } {
    const { core } = hub
    const rows: ExchangeRow[] = []
    const asking = (contract: Contract | undefined) => contract && { ...contract, minOrigin: least }
    const deps: AcceptDeps = {
      ...core,
      hubId: core.config.hubId,
      contracts: { ...core.contracts, get: (ref) => asking(core.contracts.get(ref)) },
      committer: {
        submit: async (row) => {
          rows.push(row)
          return { exchange: row.id, receipt: row.receipt, refusal: undefined, replayed: false }
        },
        drain: async () => undefined,
      },
      signRefusal: () => '',
      findReplay: async () => undefined,
      knownHead: () => 0,
    }
    return { deps, rows }
  }

  function send(deps: AcceptDeps, origin: Origin, door: string): Promise<Acceptance> {
    const message = result(newNumber())
    if (door === 'plain') {
      const contract = message.contract
      const body = Buffer.from(JSON.stringify(message.data))
      return acceptPlain(
        {
          ...deps,
          appKeySecret: (id) => appKeySecret(hub.core.keyRing.digestKey, id),
          useNonce: async () => true,
          keepEvidence: async () => undefined,
        },
        {
          path: `/v1/plain/${contract}`,
          contract,
          headers: signedHeaders(plainKey, { contract, body }) as unknown as Record<PlainHeader, string>,
          body,
          source: '127.0.0.1',
        },
      )
    }
    if (origin === 'connector-attested') {
      const ack = acknowledgement(randomUUID())
      return accept(deps, hub.party(CONNECTOR).exchange({ ...ack, obo: 'state-grid-east' }))
    }
    if (door.startsWith('a notice')) {
      const notice = { contract: 'non-delivery@1', sub: String(EXPIRED['delivery']), data: EXPIRED }
      return acceptOwn(deps, hub.party('dianqiao', hub.core.signer).exchange(notice))
    }
    const party = origin === 'agent-signed' ? hub.party(PLATFORM, agent) : hub.party(PLATFORM)
    const token = party.exchange(message, origin === 'agent-signed' ? { act: AGENT } : {})
    return accept(deps, token, door === 'Kafka' ? { party: PLATFORM, atMs: Date.now(), encrypted: true } : undefined)
  }

  test.each(cases)(
    '$origin by $door, where $least is asked for: $expected',
    async ({ origin, door, least, expected }) => {
      const { deps, rows } = pathWith(least)
      const answer = await send(deps, origin, door)
      if (!expected) {
        expect(answer).toMatchObject({
          kind: 'refused',
          proven: true,
          error: { code: 'right.missing', violations: [{ rule: `origin:${least}` }] },
        })
        expect(rows).toEqual([])
        return
      }
      expect(answer).toMatchObject({ kind: 'accepted' })
      expect(rows.map((row) => row.origin)).toEqual([origin])
      const { receipt } = answer as { receipt: string }
      expect(await hub.verified(receipt)).toMatchObject({ origin })
    },
  )

  test('an agent’s key without act, or a party’s own with it, is refused: no origin is taken for another', async () => {
    const { deps } = pathWith('clerk-entered')
    for (const token of [
      hub.party(PLATFORM, agent).exchange(result(newNumber())),
      hub.party(PLATFORM).exchange(result(newNumber()), { act: AGENT }),
    ]) {
      expect(await accept(deps, token)).toMatchObject({ kind: 'refused', error: { code: 'token.claims_invalid' } })
    }
  })

  test('a party cannot pass as attested by the hub: iss must own kid', async () => {
    const { deps } = pathWith('clerk-entered')
    const token = hub.party(PLATFORM).exchange(result(newNumber()), { iss: 'dianqiao', obo: PLATFORM })
    expect(await accept(deps, token)).toMatchObject({ kind: 'refused', error: { code: 'token.key_foreign' } })
  })
})
