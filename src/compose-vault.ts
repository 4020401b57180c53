import type { BusSeal } from '#bus/embedded.ts'
import type { ContractSet } from '#contracts/contract.ts'
import { requireEgress } from '#delivery/egress.ts'
import { claimsOf, type LogReader } from '#delivery/outcomes.ts'
import type { BusValue } from '#delivery/relay.ts'
import { type Clock, systemClock } from '#kernel/clock.ts'
import { HubError } from '#kernel/errors.ts'
import { type AccessOutcome, type AccessRow, recordAccesses } from '#store/access-queries.ts'
import { type Db, openDb, WHOLE_TABLES } from '#store/db.ts'
import type { PublishableRow } from '#store/delivery-queries.ts'
import {
  type CaseDocuments,
  type CaseQuestion,
  type DocumentFound,
  findCaseDocuments,
} from '#store/document-queries.ts'
import { unsealedTables } from '#store/unsealed-queries.ts'
import { encryptFor } from '#trust/jwe.ts'
import { openFileKeystore } from '#trust/keystore.ts'
import { isUnreadable, type LiveVault, openVault, type Vault } from '#trust/vault.ts'
import type { Core, Log } from './compose.ts'
import type { Config } from './config.ts'
import { sealOldRows } from './seal-old-rows.ts'

/** The vault of this process. Throws `vault.keystore_faulty`. */
export const openConfiguredVault = (config: Config, db: Db, clock: Clock, log: Log): Promise<LiveVault> =>
  openVault({
    db,
    keystore: openFileKeystore(config.keystoreFile, false),
    clock,
    onError: (error) => log({ level: 'error', message: 'vault', error }),
  })

/** Makes the keystore where there is none yet, and seals what was stored before there was a vault. */
export async function prepareVault(
  config: Config,
  databaseUrl: string,
  loadContracts: () => ContractSet,
): Promise<void> {
  openFileKeystore(config.keystoreFile, true)
  const db = openDb(databaseUrl, WHOLE_TABLES)
  try {
    if ((await unsealedTables(db)).length === 0) return
    const vault = await openConfiguredVault(config, db, systemClock, () => {})
    try {
      await sealOldRows(db, vault, loadContracts())
    } finally {
      await vault.close()
    }
  } finally {
    await db.destroy()
  }
}

/** What readers of the log need: what an entry says, and a record of those whose content is gone. */
export const logReader = (vault: Vault, log: Log): LogReader => ({
  claimsOf: (sealed) => claimsOf(vault.open(sealed).toString('latin1')),
  onUnreadable({ exchange, pos }, error) {
    if (!isUnreadable(error)) throw error
    log({
      level: 'warn',
      message: 'a log entry cannot be read any more and was passed over',
      error,
      fields: { exchange, pos },
    })
  },
})

/** The embedded bus keeps its values sealed as what is delivered. */
export const busSeal = (vault: Vault, log: Log): BusSeal => ({
  seal: (value) => vault.seal('delivered', value),
  open(sealed) {
    try {
      return vault.open(sealed)
    } catch (error) {
      if (!isUnreadable(error)) throw error
      log({ level: 'warn', message: 'a message on the bus cannot be read any more and was passed over', error })
      return undefined
    }
  },
})

/** The documents of cases, their tokens opened. */
export async function openedDocuments(
  db: Db,
  vault: Vault,
  questions: readonly CaseQuestion[],
): Promise<CaseDocuments[]> {
  const opened = (found: DocumentFound<Buffer>): DocumentFound => ({
    ...found,
    token: found.token && vault.open(found.token).toString('latin1'),
    data: found.data && vault.open(found.data).toString('utf8'),
  })
  return (await findCaseDocuments(db, questions)).map(({ openedBy, documents, ...found }) => ({
    ...found,
    openedBy: openedBy && { ...openedBy, token: vault.open(openedBy.token).toString('latin1') },
    documents: documents.map((list) => list.map(opened)),
  }))
}

/** Records accesses, the queries' tokens sealed: they prove who asked, and say about whom. */
export const sealedAccesses = (
  { db, vault, capReserve }: Pick<Core, 'db' | 'vault' | 'capReserve'>,
  rows: readonly AccessRow[],
): Promise<AccessOutcome[]> =>
  recordAccesses(
    db,
    capReserve,
    rows.map((row) => ({ ...row, token: vault.seal('access', row.token) })),
  )

/** What the relay publishes of a delivery: personal data only wrapped for its recipient. */
export const busValue =
  ({ vault, contracts, register, clock }: Pick<Core, 'vault' | 'contracts' | 'register' | 'clock'>) =>
  async ({ token, contract, recipient }: PublishableRow): Promise<BusValue> => {
    const opened = vault.open(token)
    requireEgress(contracts, contract, opened, clock())
    // One that is no longer known may have been.
    if (contracts.get(contract)?.personal === false) return { value: opened, contentType: 'application/jwt' }
    const key = register.encryptionKey(recipient)
    if (key === undefined) throw new HubError('party.encryption_key_missing')
    return { value: encryptFor(key, opened), contentType: 'application/jose' }
  }
