import { writeFileSync } from 'node:fs'
import { userInfo } from 'node:os'
import type { Log } from '#compose.ts'
import { openConfiguredVault } from '#compose-vault.ts'
import type { Config } from '#config.ts'
import { isEvidenceSound } from '#exchange/plain-evidence.ts'
import { systemClock } from '#kernel/clock.ts'
import { HubError } from '#kernel/errors.ts'
import { addAppKey, endAppKey } from '#parties/app-keys.ts'
import { findPlainEvidence, readAppKeys } from '#store/app-key-queries.ts'
import { type Db, openDb } from '#store/db.ts'
import { findExchange } from '#store/exchange-queries.ts'
import { readClaims } from '#trust/claims.ts'
import { parseCompact } from '#trust/compact.ts'
import { openKeyRing } from '#trust/key-ring.ts'
import { appKeySecret, type SignMethod } from '#trust/mac.ts'
import { printJson, say } from './output.ts'
import { withDb, withStore } from './with-store.ts'

export interface AppKeyOptions {
  readonly network: readonly string[]
  readonly contract?: readonly string[]
  readonly method: SignMethod
  readonly secretFile?: string
}

const ONLY_OWNER = { mode: 0o600, flag: 'wx' } as const

/** Issues an AppKey. Its secret goes to stdout, or into a file that must not exist yet. */
export const appKeyAdd = (party: string, options: AppKeyOptions): Promise<void> =>
  withKeys(async (db, config) => {
    const { digestKey } = openKeyRing(config.hubKeysFile, false)
    const { network: networks, contract: contracts, method, secretFile } = options
    const file = secretFile === undefined ? undefined : claimFile(secretFile)
    const id = await addAppKey(db, { party, method, networks, contracts }, { by: userInfo().username })
    const secret = appKeySecret(digestKey, id)
    file?.(`${secret}\n`)
    printJson({ party, appKey: id, ...(file === undefined ? { secret } : {}), method, networks })
    say('every gateway knows it within 5 s; the secret is not told again')
  })

/** A file is made before the AppKey is: an AppKey whose secret went nowhere helps nobody. */
function claimFile(file: string): (text: string) => void {
  writeNew(file, '')
  return (text) => writeFileSync(file, text)
}

function writeNew(file: string, content: string | Buffer): void {
  try {
    writeFileSync(file, content, ONLY_OWNER)
  } catch (cause) {
    const detail = { zh: `无法新建文件 ${file}`, en: `the file ${file} cannot be made, or exists` }
    throw new HubError('cli.usage', { cause, detail })
  }
}

export const listAppKeys = (): Promise<void> =>
  withDb(async (db) => {
    for (const { id, party, method, networks, contracts, state, state_since } of await readAppKeys(db)) {
      printJson({ appKey: id, party, method, networks, contracts, state, since: state_since })
    }
  })

export const appKeyRevoke = (id: string, reason: string): Promise<void> =>
  withDb(async (db) => {
    const party = await endAppKey(db, id, { by: userInfo().username, reason })
    say(`${id} of ${party} is revoked; every gateway knows within 5 s`)
  })

/** What an exchange came with, and whether its MAC is that of these bytes. Throws `exchange.not_found`. */
export const appKeyEvidence = (exchange: string, out: string | undefined): Promise<void> =>
  withKeys(async (db, config, log) => {
    const found = /^[0-9a-f-]{36}$/.test(exchange) ? await findExchange(db, exchange) : undefined
    const { of } = found === undefined ? {} : readClaims('receipt+jwt', parseCompact(found.receipt, 65_536).claims)
    const row = of?.bodyDigest && (await findPlainEvidence(db, { ...of, bodyDigest: of.bodyDigest }))
    if (!row) throw new HubError('exchange.not_found')
    const vault = await openConfiguredVault(config, db, systemClock, log)
    const request = vault.open(row.request)
    await vault.close()
    if (out !== undefined) writeNew(out, request)
    const secret = appKeySecret(openKeyRing(config.hubKeysFile, false).digestKey, row.app_key)
    printJson({
      exchange,
      party: of?.iss,
      requestId: of?.jti,
      appKey: row.app_key,
      receivedAt: row.received_at,
      bytes: request.length,
      macVerifies: isEvidenceSound(request, secret),
    })
  })

const withKeys = (use: (db: Db, config: Config, log: Log) => Promise<void>): Promise<void> =>
  withStore(async (url, config, log) => {
    const db = openDb(url, { max: 2 })
    try {
      await use(db, config, log)
    } finally {
      await db.destroy()
    }
  })
