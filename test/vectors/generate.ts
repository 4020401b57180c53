import { createSecretKey } from 'node:crypto'
import { existsSync, readFileSync, writeFileSync } from 'node:fs'
import { canonicalJson, keyedDigest, sha256Digest } from '#kernel/canonical.ts'
import type { JsonObject } from '#kernel/json.ts'
import { readClaims, TOKEN_TYPES, type TokenType } from '#trust/claims.ts'
import { parseCompact } from '#trust/compact.ts'
import { generateKeyPair, importPublicJwk } from '#trust/keys.ts'
import { createSigner } from '#trust/sign.ts'
import { verifySignature } from '#trust/verify.ts'
import { type Entry, exchangeClaims, HUB_ID, HUB_TIME, type Keys, type TestKey } from './forge.ts'
import { hostileClaims, hostilePayloads, hostileTimes } from './hostile-claims.ts'
import { hostileHeaders, malformedText } from './hostile-form.ts'
import { hostileSignatures } from './hostile-signatures.ts'
import { plainVectors } from './plain.ts'

/**
 * Writes the published vectors: `npx node test/vectors/generate.ts`. The keys are read from keys.json and made only
 * where it is missing. ECDSA and PSS signatures are random: a token whose signed part is unchanged stays as it is,
 * unless `--fresh` is given, so that a second run changes no file.
 */
const folder = import.meta.dirname
const fresh = process.argv.includes('--fresh')
const KEY_NOTE = 'PUBLISHED TEST KEY. Everybody has it: register it nowhere but in a test.'

const path = (name: string): string => `${folder}/${name}.json`

function readOld(name: string): JsonObject | undefined {
  return existsSync(path(name)) ? (JSON.parse(readFileSync(path(name), 'utf8')) as JsonObject) : undefined
}

const write = (name: string, value: object): void => writeFileSync(path(name), `${JSON.stringify(value, null, 2)}\n`)

function testKeys(): Keys {
  const old = readOld('keys')
  if (old !== undefined) return old['keys'] as unknown as Keys
  const make = (party: string, alg: 'ES256' | 'Ed25519' | 'PS256'): TestKey => ({
    party,
    alg,
    ...generateKeyPair(alg),
  })
  const keys: Keys = {
    es256: make('platform-es256.vectors', 'ES256'),
    ed25519: make('platform-ed25519.vectors', 'Ed25519'),
    ps256: make('platform-ps256.vectors', 'PS256'),
    stranger: make('stranger.vectors', 'ES256'),
    hub: make(HUB_ID, 'ES256'),
    hubEd25519: make(HUB_ID, 'Ed25519'),
  }
  write('keys', { note: KEY_NOTE, keys })
  return keys
}

const signedPart = (token: string): string => token.slice(0, token.lastIndexOf('.'))

interface Vector {
  readonly key: TestKey
  readonly claims: JsonObject
}

function vectorOf(typ: TokenType, keys: Keys, exchangeDigest: string, queryDigest: string): Vector {
  const hub = { iss: HUB_ID, iat: HUB_TIME, jti: '0193f3a2-hub-token-0001' }
  const party = (key: TestKey) => ({ ...exchangeClaims(key.party), caseNo: undefined, data: undefined })
  const exchange = exchangeClaims(keys.es256.party)
  const of = { iss: keys.es256.party, jti: exchange['jti'] ?? '', contract: exchange['contract'] ?? '' }
  const vectors: Record<TokenType, { key: TestKey; claims: object }> = {
    'exchange+jwt': { key: keys.es256, claims: exchange },
    'query+jwt': { key: keys.ed25519, claims: { ...party(keys.ed25519), ...QUERY } },
    'request+jwt': { key: keys.ps256, claims: { ...party(keys.ps256), ...REQUEST, contract: undefined, sub: undefined } },
    'receipt+jwt': {
      key: keys.hub,
      claims: {
        ...hub,
        aud: keys.es256.party,
        exchange: '0193f3a2-0000-7000-8000-000000000001',
        of: { ...of, tokenDigest: exchangeDigest, contentDigest: contentDigest(exchange) },
        posAfter: 41,
        acceptedAt: HUB_TIME,
        origin: 'party-signed',
      },
    },
    'refusal+jwt': {
      key: keys.hub,
      claims: { ...hub, aud: keys.es256.party, of: { tokenDigest: exchangeDigest }, problem: PROBLEM },
    },
    'answer+jwt': {
      key: keys.hubEd25519,
      claims: {
        ...hub,
        aud: keys.ed25519.party,
        exp: HUB_TIME + 600,
        of: { iss: keys.ed25519.party, jti: exchange['jti'], tokenDigest: queryDigest },
        asOf: HUB_TIME,
        documents: [{ ...DOCUMENT, originalDigest: exchangeDigest }],
        parts: [{ document: DOCUMENT.document, verdict: DOCUMENT.verdict, documents: 1, complete: true }],
      },
    },
  }
  const { key, claims } = vectors[typ]
  return { key, claims: JSON.parse(JSON.stringify(claims)) as JsonObject }
}

/** PROTOCOL's content digest, here under a published key of 32 zero bytes. */
function contentDigest({ contract = '', sub = '', caseNo = '', data = {} }: JsonObject): string {
  return keyedDigest(createSecretKey(Buffer.alloc(32)), canonicalJson({ contract, sub, caseNo, data }))
}

const QUERY = {
  contract: 'business-licence-query@1',
  sub: '91150100MA0VECTR0X',
  purpose: '用电报装',
  legalBasis: 'duty',
  item: '150100-0042',
  operator: 'op-7f3a',
  caseNo: '150100-2026-000123',
  fields: ['name', 'uscc', 'validTo'],
}

const REQUEST = {
  exp: HUB_TIME + 30,
  htm: 'GET',
  htu: 'https://hub.vectors/v1/exchanges/0193f3a2-0000-7000-8000-000000000001',
}

const PROBLEM = {
  code: 'contract.schema_violated',
  status: 422,
  violations: [{ pointer: '/data/decidedOn', rule: 'format', message: { zh: '不是日期', en: 'not a date' } }],
}

const DOCUMENT = {
  document: 'business-licence@1',
  data: { name: '内蒙古示例能源有限公司', uscc: '91150100MA0VECTR0X' },
  issuer: 'market-regulation.vectors',
  proof: 'hub',
  status: 'ACTIVE',
  verdict: 'disputed',
  validTo: null,
  disputed: [{ field: 'name', since: HUB_TIME - 86_400 }],
}

function writeVector(typ: TokenType, { key, claims }: Vector): string {
  const made = createSigner(key.privateJwk).sign(typ, claims)
  const old = fresh ? undefined : readOld(typ)?.['token']
  const token = typeof old === 'string' && signedPart(old) === signedPart(made) ? old : made
  const parsed = parseCompact(token, 65_536)
  verifySignature(parsed, importPublicJwk(key.publicJwk))
  readClaims(typ, parsed.claims)
  write(typ, { note: KEY_NOTE, typ, hubTime: HUB_TIME, key: key.privateJwk, publicJwk: key.publicJwk, claims, token })
  return sha256Digest(token)
}

function writeHostile(keys: Keys): void {
  const made = [
    ...malformedText(keys),
    ...hostileHeaders(keys),
    ...hostilePayloads(keys),
    ...hostileClaims(keys),
    ...hostileTimes(keys),
    ...hostileSignatures(keys),
  ]
  const oldEntries = fresh ? [] : ((readOld('hostile')?.['entries'] ?? []) as unknown as Entry[])
  const old = new Map(oldEntries.map(({ name, token }) => [name, token]))
  const entries = made.map(({ name, expected, token }) => {
    const before = old.get(name)
    return { name, expected, token: before !== undefined && signedPart(before) === signedPart(token) ? before : token }
  })
  const { es256, ed25519, ps256, stranger } = keys
  const parties = [es256, ed25519, ps256, stranger].map(({ party, publicJwk }) => ({ party, publicJwk }))
  const settings = { typ: 'exchange+jwt', hubId: HUB_ID, hubTime: HUB_TIME, maxBytes: 16_384, maxAgeSeconds: 600 }
  write('hostile', { ...settings, parties, entries })
}

const keys = testKeys()
let exchangeDigest = ''
let queryDigest = ''
for (const typ of TOKEN_TYPES) {
  const digest = writeVector(typ, vectorOf(typ, keys, exchangeDigest, queryDigest))
  if (typ === 'exchange+jwt') exchangeDigest = digest
  if (typ === 'query+jwt') queryDigest = digest
}
writeHostile(keys)
write('plain-sign', plainVectors())
