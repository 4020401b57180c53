import { HubError } from '#kernel/errors.ts'
import type { Db } from '#store/db.ts'
import { insertParty } from '#store/party-queries.ts'
import { insertRegisterAct, setPartyStatus } from '#store/register-act-queries.ts'
import type { Changer } from './keys.ts'
import type { SeedParty } from './seed-files.ts'

/** Registers a party, without a key. Throws `party.exists` when its id is taken: entries are never overwritten. */
export async function addParty(db: Db, party: SeedParty, changer: Changer): Promise<void> {
  const { name, ...rest } = party
  await db.transaction().execute(async (tx) => {
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
