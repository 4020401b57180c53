import type { Config } from '#config.ts'
import { readDataKeys } from '#store/data-key-queries.ts'
import type { Db } from '#store/db.ts'
import { readRegister } from '#store/party-queries.ts'
import { keyBinding } from '#trust/data-keys.ts'
import { openFileKeystore } from '#trust/keystore.ts'
import { type Finding, sound, unsound } from './finding.ts'

/** The keystore opens every data key, and whoever reads personal data from the broker has a key to wrap it for. */
export async function vaultFindings(db: Db, config: Config): Promise<readonly Finding[]> {
  const keystore = openFileKeystore(config.keystoreFile, false)
  let opened = 0
  for (const row of await readDataKeys(db)) {
    const { wrapped, kek_version: kekVersion } = row
    if (wrapped === null) continue
    await keystore.unwrap({ wrapped, kekVersion }, keyBinding(row))
    opened++
  }
  const version = await keystore.version()
  return [
    sound('vault', `主密钥版本 ${version}，数据密钥 ${opened} 个`, `version ${version}, ${opened} data keys open`),
    await encryptionKeyFinding(db),
  ]
}

async function encryptionKeyFinding(db: Db): Promise<Finding> {
  const { parties, encryptionKeys } = await readRegister(db)
  const readers = parties.filter(({ channel }) => channel === 'bus').map(({ id }) => id)
  const keyless = readers.filter((id) => !encryptionKeys.some(({ party }) => party === id))
  if (keyless.length === 0) {
    return sound(
      'encryption keys',
      `${readers.length} 个总线接收方均有`,
      `all ${readers.length} readers of the bus have one`,
    )
  }
  return unsound(
    'encryption keys',
    { zh: `${keyless.join('、')} 没有加密公钥`, en: `no encryption key: ${keyless.join(', ')}` },
    {
      zh: '运行 dianqiao party encryption-key <party> <public.jwk>',
      en: 'run dianqiao party encryption-key <party> <public.jwk>',
    },
  )
}
