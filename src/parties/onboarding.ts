import { HubError } from '#kernel/errors.ts'
import type { Db } from '#store/db.ts'
import { insertParty, partyNames } from '#store/party-queries.ts'
import { insertRegisterAct, setPartyStatus } from '#store/register-act-queries.ts'
import type { Changer } from './keys.ts'
import { plainName } from './names.ts'
import type { SeedParty } from './seed-files.ts'

/**
 * Registers a party, without a key. Throws `party.exists` when its id or one of its names is taken: entries are never
 * overwritten, and no name may mean two parties.
 */
export async function addParty(db: Db, party: SeedParty, changer: Changer): Promise<void> {
  const { name, ...rest } = party
  await db.transaction().execute(async (tx) => {
    const own = new Set([name.zh, name.en, ...rest.aliases].map(plainName))
    const taken = (await partyNames(tx)).find((one) => own.has(plainName(one.name)))
    if (taken !== undefined) {
      const detail = { zh: `名称已为 ${taken.party} 所用`, en: `one of its names is that of ${taken.party}` }
      throw new HubError('party.exists', { detail })
    }
    if (!(await insertParty(tx, { ...rest, ...name }))) throw new HubError('party.exists')
    await insertRegisterAct(tx, { ...changer, act: 'added', party: party.id })
  })
}

/**
 * Suspends a party or lets it act again; every node follows within 5 s. Deliveries to a suspended party wait. Throws
 * `party.unknown`; a party that has the status already keeps it, and nothing is recorded.
 */
export async function changeStatus(
  db: Db,
  party: string,
  status: 'active' | 'suspended',
  changer: Changer,
): Promise<void> {
  await db.transaction().execute(async (tx) => {
    const before = await setPartyStatus(tx, party, status)
    if (before === undefined) throw new HubError('party.unknown')
    if (before !== status) await insertRegisterAct(tx, { ...changer, act: status, party })
  })
}
