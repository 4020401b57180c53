import { createHash, getHashes, type Hash } from 'node:crypto'
import { HubError } from '#kernel/errors.ts'

/** Digest algorithms of PROTOCOL by their names in OpenSSL. */
const ALGORITHMS = { 'sha-256': 'sha256', sm3: 'sm3' } as const

/** Throws `config.invalid` when this Node cannot compute one of the digests that a file may be named by. */
export function requireFileDigests(): void {
  const missing = Object.values(ALGORITHMS).filter((name) => !getHashes().includes(name))
  if (missing.length === 0) return
  throw new HubError('config.invalid', {
    detail: { zh: `此 Node.js 不支持 ${missing.join()}`, en: `this Node.js does not know ${missing.join()}` },
  })
}

/** The running digest that a file's name asks for; `sha-256:…` or `sm3:…`, which the edge has judged. */
export const hashFor = (digest: string): Hash =>
  createHash(digest.startsWith('sm3:') ? ALGORITHMS.sm3 : ALGORITHMS['sha-256'])

/** The digest in its written form. Ends the hash. */
export const digestOf = (digest: string, hash: Hash): string =>
  `${digest.slice(0, digest.indexOf(':'))}:${hash.digest('base64url')}`
