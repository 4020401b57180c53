import { readDataKeys, rewrapDataKey, withKeyLock } from '#store/data-key-queries.ts'
import type { Db } from '#store/db.ts'
import { keyBinding } from './data-keys.ts'
import type { Keystore } from './keystore.ts'

/**
 * Wraps every data key under the newest version, one made for this unless `rewrapOnly`. Nothing is sealed anew, and
 * running processes notice nothing. With `forget`, the keystore gives up the versions that no key needs any more: then
 * no backup from before opens a key that was destroyed since. One at a time: two could each make a version that the
 * other's file does not hold. Returns the version and how many keys were wrapped anew.
 */
export function rotateKeys(
  db: Db,
  keystore: Keystore,
  { rewrapOnly = false, forget = false }: { readonly rewrapOnly?: boolean; readonly forget?: boolean } = {},
): Promise<{ readonly version: number; readonly rewrapped: number }> {
  return withKeyLock(db, async (tx) => {
    const version = rewrapOnly ? await keystore.version() : await keystore.rotate()
    const rewrapped = await rewrapAll(tx, keystore, version)
    // A process that was about to add tomorrow's key may have used the version before: it is looked for once more.
    const left = await rewrapAll(tx, keystore, version)
    return { version, rewrapped: rewrapped + left }
  }).then(async (result) => {
    if (forget) await keystore.forget((await readDataKeys(db)).flatMap(usedVersion))
    return result
  })
}

const usedVersion = ({ wrapped, kek_version }: { wrapped: Buffer | null; kek_version: number }): number[] =>
  wrapped === null ? [] : [kek_version]

async function rewrapAll(db: Db, keystore: Keystore, version: number): Promise<number> {
  let count = 0
  for (const row of await readDataKeys(db)) {
    const { id, wrapped, kek_version: kekVersion } = row
    if (wrapped === null || kekVersion === version) continue
    const binding = keyBinding(row)
    const dataKey = await keystore.unwrap({ wrapped, kekVersion }, binding)
    await rewrapDataKey(db, id, kekVersion, await keystore.wrap(dataKey, binding))
    count++
  }
  return count
}
