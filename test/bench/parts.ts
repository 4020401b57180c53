import { createPublicKey, verify } from 'node:crypto'
import path from 'node:path'
import { compactVerify, importJWK } from 'jose'
import type { Contract } from '#contracts/contract.ts'
import { loadContracts } from '#contracts/load.ts'
import { brokenRules } from '#contracts/rules.ts'
import { validateData } from '#contracts/validate.ts'
import { createDigests } from '#exchange/digests.ts'
import type { Json, JsonObject } from '#kernel/json.ts'
import { parseStrictJson } from '#kernel/json.ts'
import { readClaims } from '#trust/claims.ts'
import { parseCompact } from '#trust/compact.ts'
import { importPublicJwk } from '#trust/keys.ts'
import type { Signer } from '#trust/sign.ts'
import { verifySignature } from '#trust/verify.ts'
import { CONTRACT, type Message, messageMaker, ROOT } from './message.ts'
import { median } from './report.ts'

/** CPU time of each part of one acceptance by itself, µs. Parts do not add up: in a process they share caches and GC. */
export type Parts = Readonly<Record<PartName, number>>

const PART_NAMES = [
  'verifyNative',
  'verifyOneShot',
  'verifyJose',
  'sign',
  'jsonParse',
  'strictParse',
  'parseCompact',
  'readClaims',
  'ajv',
  'celRules',
  'contentDigest',
] as const
type PartName = (typeof PART_NAMES)[number]

type Part = (message: Message) => unknown

const ROUNDS = 7

/** Measures all parts in turn, several rounds over, on distinct messages; medians. */
export async function measureParts(signer: Signer, seconds: number): Promise<Parts> {
  const make = messageMaker(signer)
  const messages = Array.from({ length: 200 }, make)
  const parts = await partsOf(signer, approvalResult())
  const found = Object.fromEntries(PART_NAMES.map((name) => [name, [] as number[]]))
  const windowMs = (seconds * 1000) / (ROUNDS + 1) / PART_NAMES.length
  for (let round = 0; round <= ROUNDS; round++) {
    for (const name of PART_NAMES) {
      const cost = await cpuPerCall(parts[name], messages, windowMs)
      // the first round only warms up
      if (round > 0) found[name]?.push(cost)
    }
  }
  return Object.fromEntries(PART_NAMES.map((name) => [name, median(found[name] ?? [])])) as Parts
}

async function cpuPerCall(part: Part, messages: readonly Message[], windowMs: number): Promise<number> {
  const end = performance.now() + windowMs
  const before = process.cpuUsage()
  let calls = 0
  while (performance.now() < end) {
    for (const message of messages.slice(0, 20)) {
      const result = part(message)
      if (result instanceof Promise) await result
      calls++
    }
  }
  const { user, system } = process.cpuUsage(before)
  return (user + system) / calls
}

function approvalResult(): Contract {
  const contract = loadContracts(ROOT).get(CONTRACT)
  if (contract === undefined) throw new Error(`no contract ${CONTRACT} in ${path.join(ROOT, 'contracts')}`)
  return contract
}

async function partsOf(signer: Signer, contract: Contract): Promise<Readonly<Record<PartName, Part>>> {
  const publicKey = importPublicJwk(signer.publicJwk)
  const joseKey = await importJWK(signer.publicJwk as object, 'ES256')
  const oneShotKey = {
    key: createPublicKey({ key: signer.publicJwk, format: 'jwk' }),
    dsaEncoding: 'ieee-p1363',
  } as const
  const digests = createDigests(Buffer.alloc(32, 7))
  const parsed = new WeakMap<Message, ReturnType<typeof parseCompact>>()
  const tokenOf = (message: Message): ReturnType<typeof parseCompact> => {
    const token = parsed.get(message) ?? parseCompact(message.token, 65_536)
    parsed.set(message, token)
    return token
  }
  const payloadOf = ({ token }: Message): string => Buffer.from(token.split('.')[1] ?? '', 'base64url').toString()
  return {
    verifyNative: (message) => verifySignature(tokenOf(message), publicKey),
    verifyOneShot: (message) => {
      const { signingInput, signature } = tokenOf(message)
      return verify('sha256', Buffer.from(signingInput, 'latin1'), oneShotKey, signature)
    },
    verifyJose: ({ token }) => compactVerify(token, joseKey),
    sign: ({ claims }) => signer.sign('receipt+jwt', { ...claims, data: 0 }),
    jsonParse: (message) => JSON.parse(payloadOf(message)) as Json,
    strictParse: (message) => parseStrictJson(payloadOf(message)),
    parseCompact: ({ token }) => parseCompact(token, 65_536),
    readClaims: (message) => readClaims('exchange+jwt', tokenOf(message).claims),
    ajv: ({ claims }) => expect(validateData(contract, claims['data'] as JsonObject).length === 0),
    celRules: ({ claims }) => {
      const input = { data: claims['data'] as JsonObject, claims, nowMs: Date.now() }
      return expect(brokenRules(contract, input).length === 0)
    },
    contentDigest: (message) => digests.content(readClaims('exchange+jwt', tokenOf(message).claims)),
  }
}

function expect(holds: boolean): void {
  if (!holds) throw new Error('a bench message is not valid under its contract')
}
