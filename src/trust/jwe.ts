import { CompactEncrypt, compactDecrypt } from 'jose'
import { HubError } from '#kernel/errors.ts'
import type { DecryptionKeys, EncryptionKey } from './encryption-keys.ts'

/** What wraps a value of a broker (PROTOCOL, Kafka): RFC 7516 compact, ECDH-ES on P-256, A256GCM; the token inside. */
const HEADER = { alg: 'ECDH-ES', enc: 'A256GCM', typ: 'JWE', cty: 'JWT' } as const

/** Both key agreements are taken: some libraries know only the one with a wrapped key. */
const ALGORITHMS = { keyManagementAlgorithms: ['ECDH-ES', 'ECDH-ES+A256KW'], contentEncryptionAlgorithms: ['A256GCM'] }

const COMPACT_JWE = /^[A-Za-z0-9_-]+\.[A-Za-z0-9_-]*\.[A-Za-z0-9_-]+\.[A-Za-z0-9_-]+\.[A-Za-z0-9_-]+$/

/** Five parts; a token has three. */
export const isEncrypted = (text: string): boolean => COMPACT_JWE.test(text)

export const encryptFor = ({ key, kid }: EncryptionKey, token: Buffer): Promise<string> =>
  new CompactEncrypt(token).setProtectedHeader({ ...HEADER, kid }).encrypt(key)

/** The token inside. Throws `token.encryption_invalid` for another recipient's, other algorithms, or changed bytes. */
export async function decryptWith(keys: DecryptionKeys, text: string): Promise<string> {
  try {
    const keyOf = ({ kid }: { kid?: string }) => {
      const key = keys.privateKey(kid ?? '')
      if (key === undefined) throw new HubError('token.encryption_invalid')
      return key
    }
    const { plaintext } = await compactDecrypt(text, keyOf, ALGORITHMS)
    return Buffer.from(plaintext).toString('latin1')
  } catch (cause) {
    throw new HubError('token.encryption_invalid', { cause })
  }
}
