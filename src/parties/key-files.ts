import { mkdirSync, readFileSync, writeFileSync } from 'node:fs'
import path from 'node:path'
import { HubError } from '#kernel/errors.ts'
import type { JsonObject } from '#kernel/json.ts'
import { type DecryptionKeys, openDecryptionKeys } from '#trust/encryption-keys.ts'
import { type Algorithm, generateKeyPair } from '#trust/keys.ts'
import { createSigner, type Signer } from '#trust/sign.ts'

const fileOf = (directory: string, party: string): string => path.join(directory, `${party}.json`)

/** A party's encryption keys, where this machine holds them; made (mode 0600) when there are none and `create` is set. */
export const openPartyEncryption = (directory: string, party: string, create: boolean): DecryptionKeys =>
  openDecryptionKeys(path.join(directory, `${party}.enc.json`), create)

/** A party's signer from its private JWK file, or undefined where this machine does not hold its key. */
export function readPartySigner(directory: string, party: string): Signer | undefined {
  let text: string
  try {
    text = readFileSync(fileOf(directory, party), 'utf8')
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return undefined
    throw new HubError('config.invalid', {
      cause: error,
      detail: { zh: `无法读取 ${fileOf(directory, party)}`, en: `cannot read ${fileOf(directory, party)}` },
    })
  }
  return createSigner(JSON.parse(text) as JsonObject)
}

/** The signer of the party's key file; makes the key (mode 0600) when there is none yet. */
export function openPartySigner(directory: string, party: string, alg: Algorithm): Signer {
  const existing = readPartySigner(directory, party)
  if (existing !== undefined) return existing
  mkdirSync(directory, { recursive: true, mode: 0o700 })
  const { privateJwk } = generateKeyPair(alg)
  try {
    writeFileSync(fileOf(directory, party), JSON.stringify(privateJwk), { mode: 0o600, flag: 'wx' })
  } catch (error) {
    // Another process made it in between: its key is the one.
    if ((error as NodeJS.ErrnoException).code !== 'EEXIST') throw error
  }
  return readPartySigner(directory, party) ?? createSigner(privateJwk)
}
