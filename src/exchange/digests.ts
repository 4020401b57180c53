import { createSecretKey } from 'node:crypto'
import type { AliasSource, Contract, SubjectPointers } from '#contracts/contract.ts'
import { residentIdOf18 } from '#contracts/formats.ts'
import { canonicalJson, keyedDigest } from '#kernel/canonical.ts'
import { atPointer, isJsonObject, type Json, type JsonObject } from '#kernel/json.ts'
import type { ExchangeClaims } from '#trust/claims.ts'

/** The numbers a case is known by (DOMAIN §4): 办件编号, applicationNo, 投资项目编号, each unique at its issuer. */
export interface Alias {
  readonly scheme: string
  readonly issuer: string
  readonly number: string
}

/**
 * Keyed digests under one hub key, each with its own prefix so that none can stand for another. They let the store
 * compare numbers of persons and cases without holding them.
 */
export interface Digests {
  /** What makes two exchanges the same: contract, sub, caseNo, obo, data; absent members left out. */
  content(claims: ExchangeClaims): string
  orderKey(contract: Contract, claims: ExchangeClaims): string
  alias(alias: Alias): string
  subject(codeType: string, code: string): string
  /** A value that documents under a contract are looked up by. */
  lookup(contract: string, value: string): string
  /** The key under which an answer to a question is kept in memory. */
  question(text: string): string
  /** The Kafka key of an order key in this topic: nobody can lay the keys of two topics side by side. */
  outboundKey(topic: string, orderKey: string): string
}

/** 132 bits of a keyed digest: enough never to collide, short enough for indexes. */
const SHORT = 22

export function createDigests(keyBytes: Buffer): Digests {
  const key = createSecretKey(keyBytes)
  const short = (kind: string, text: string): string => keyedDigest(key, `${kind}\n${text}`).slice(0, SHORT)
  return {
    content: ({ contract, sub, caseNo, obo, data }) =>
      keyedDigest(
        key,
        canonicalJson({
          contract,
          sub,
          ...(caseNo === undefined ? {} : { caseNo }),
          ...(obo === undefined ? {} : { obo }),
          data,
        }),
      ),
    orderKey: (contract, claims) => short('order', orderText(contract, claims)),
    alias: ({ scheme, issuer, number }) => short('alias', canonicalJson([scheme, issuer, number])),
    subject: (codeType, code) => short('subject', canonicalJson([codeType, subjectText(codeType, code)])),
    lookup: (contract, value) => short('lookup', canonicalJson([contract, lookupText(value)])),
    question: (text) => short('question', text),
    outboundKey: (topic, orderKey) => short('outbound', canonicalJson([topic, orderKey])),
  }
}

/**
 * One person, one key: the check character of a resident id may be written x or X (GB 11643), and old registers hold
 * the number of 15 digits.
 */
function subjectText(codeType: string, code: string): string {
  const text = code.replaceAll(/\s/gu, '').toUpperCase()
  return codeType === '111' && text.length === 15 ? residentIdOf18(text) : text
}

/** Certificate numbers come with brackets of either width, unit codes with blanks (DOMAIN §3). */
const lookupText = (value: string): string =>
  value.replaceAll(/\s/gu, '').replaceAll('(', '（').replaceAll(')', '）').toUpperCase()

function orderText(contract: Contract, claims: ExchangeClaims): string {
  const named = contract.orderKey === undefined ? undefined : atPointer(claims.data, contract.orderKey)
  return typeof named === 'string' ? named : (claims.caseNo ?? claims.sub)
}

/** The aliases that data under a contract carries; `sender` is `obo` where the exchange has one, else `iss`. */
export function aliasesIn(sources: readonly AliasSource[], data: Json, sender: string): Alias[] {
  return sources.flatMap((source) => {
    if ('list' in source) return listed(atPointer(data, source.list))
    const number = atPointer(data, source.number)
    return typeof number === 'string' ? [{ scheme: source.scheme, issuer: sender, number }] : []
  })
}

function listed(value: Json | undefined): Alias[] {
  if (!Array.isArray(value)) return []
  return value
    .filter(isJsonObject)
    .flatMap(({ scheme, issuer, number }) =>
      typeof scheme === 'string' && typeof issuer === 'string' && typeof number === 'string'
        ? [{ scheme, issuer, number }]
        : [],
    )
}

/** The keyed subjects that pointers find in data. */
export function subjectKeysIn(digests: Digests, pointers: readonly SubjectPointers[], data: JsonObject): string[] {
  return pointers.flatMap(({ codeType, code }) => {
    const type = atPointer(data, codeType)
    const value = atPointer(data, code)
    return typeof type === 'string' && typeof value === 'string' ? [digests.subject(type, value)] : []
  })
}
