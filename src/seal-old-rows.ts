import type { ContractSet } from '#contracts/contract.ts'
import type { RetentionClass } from '#kernel/retention.ts'
import type { Db } from '#store/db.ts'
import {
  findUnsealed,
  markSealed,
  replaceUnsealed,
  SEALED_COLUMNS,
  type SealedTable,
  type UnsealedValue,
  unsealedTables,
} from '#store/unsealed-queries.ts'
import type { Vault } from '#trust/vault.ts'

const AT_ONCE = 500

/**
 * Seals what was stored before there was a vault, batch by batch; whatever cuts it off, the next start goes on, and
 * meanwhile readers tell the two apart by their first byte. Their retention begins anew with today's keys: the day they
 * came is not that of any key. Returns how many values it sealed.
 */
export async function sealOldRows(db: Db, vault: Vault, contracts: ContractSet): Promise<number> {
  let count = 0
  for (const table of await unsealedTables(db)) {
    const retentionOf = retention(table, contracts)
    for (const column of SEALED_COLUMNS[table]) {
      for (let after = '(0,0)'; ; ) {
        const found = await findUnsealed(db, table, column, after, AT_ONCE)
        const last = found.at(-1)
        if (last === undefined) break
        const values = found.map((one) => ({
          place: one.place,
          sealed: vault.seal(retentionOf(one), vault.open(one.value)),
        }))
        await replaceUnsealed(db, table, column, values)
        count += found.length
        after = last.place
      }
    }
    await markSealed(db, table)
  }
  return count
}

function retention(table: SealedTable, contracts: ContractSet): (value: UnsealedValue) => RetentionClass {
  if (table === 'access_record') return () => 'access'
  return ({ contract }) => contracts.get(contract ?? '')?.retention ?? 'delivered'
}
