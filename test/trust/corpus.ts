import { readFileSync } from 'node:fs'
import { HubError } from '#kernel/errors.ts'
import type { JsonObject } from '#kernel/json.ts'
import { checkAudience, checkFreshness, readClaims } from '#trust/claims.ts'
import { parseCompact } from '#trust/compact.ts'
import { importPublicJwk, type PublicKey } from '#trust/keys.ts'
import { verifySignature } from '#trust/verify.ts'

interface CorpusFile {
  readonly typ: string
  readonly hubId: string
  readonly hubTime: number
  readonly maxBytes: number
  readonly maxAgeSeconds: number
  readonly parties: readonly { readonly party: string; readonly publicJwk: JsonObject }[]
  readonly entries: readonly { readonly name: string; readonly expected: string; readonly token: string }[]
}

export function readVector<T>(name: string): T {
  return JSON.parse(readFileSync(`${import.meta.dirname}/../vectors/${name}.json`, 'utf8')) as T
}

export const corpus = readVector<CorpusFile>('hostile')

export interface Registered {
  readonly party: string
  readonly key: PublicKey
}

export const register: ReadonlyMap<string, Registered> = new Map(
  corpus.parties.map(({ party, publicJwk }) => {
    const key = importPublicJwk(publicJwk)
    return [key.kid, { party, key }]
  }),
)

/** The code of what `act` throws; anything but a HubError fails the test. */
export function codeOf(act: () => unknown): string {
  try {
    act()
  } catch (error) {
    if (error instanceof HubError) return error.code
    throw error
  }
  return 'accepted'
}

/** The hub's front half in PROTOCOL's order: parse → typ → owner of kid → signature → claims → audience → freshness. */
export function judge(text: string): string {
  return codeOf(() => {
    const token = parseCompact(text, corpus.maxBytes)
    if (token.header.typ !== corpus.typ) throw new HubError('token.type_wrong')
    const registered = register.get(token.header.kid)
    if (registered === undefined) throw new HubError('token.key_unknown')
    if (token.claims['iss'] !== registered.party) throw new HubError('token.key_foreign')
    verifySignature(token, registered.key)
    const claims = readClaims('exchange+jwt', token.claims)
    checkAudience(claims, corpus.hubId)
    checkFreshness(claims, { nowMs: corpus.hubTime * 1000, maxAgeSeconds: corpus.maxAgeSeconds })
  })
}
