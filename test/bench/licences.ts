import { randomUUID } from 'node:crypto'
import { readFileSync } from 'node:fs'
import path from 'node:path'
import { certificateCheckCharacter } from '#contracts/formats.ts'
import type { JsonObject } from '#kernel/json.ts'
import { readPartySigner } from '#parties/key-files.ts'
import type { Signer } from '#trust/sign.ts'
import { HUB, ROOT } from './message.ts'

/** Who publishes licences, and who fetches them. */
export const AUTHORITY = 'market-regulation-nmg'
export const UTILITY = 'state-grid-east'

/** A licence and the open case in which its holder applies for power. */
export interface Asked {
  readonly uscc: string
  readonly caseNo: string
}

const example = (name: string): JsonObject =>
  JSON.parse(readFileSync(path.join(ROOT, 'schemas', name), 'utf8')) as JsonObject

const LICENCE = example('business-licence/examples/valid/company.json')
const APPLICATION = example('power-application/examples/valid/low-voltage-enterprise.json')

/** Licences may be a week old, queries and applications ten minutes (their contracts). */
const LICENCE_SECONDS = 7 * 86_400
const SHORT_SECONDS = 600

export function signerOf(keysDir: string, party: string): Signer {
  const signer = readPartySigner(keysDir, party)
  if (signer === undefined) throw new Error(`no key of ${party} in ${keysDir}`)
  return signer
}

const ALPHABET = '0123456789ABCDEFGHJKLMNPQRTUWXY'
/** GB 32100: weights are the powers of 3 modulo 31. */
const WEIGHTS = Array.from({ length: 17 }, (_, at) => Number(3n ** BigInt(at) % 31n))

/** The n-th unified social credit code of Chifeng, with its check character. */
function usccOf(n: number): string {
  const body = `91150402${String(n).padStart(9, '0')}`
  const sum = [...body].reduce((total, char, at) => total + ALPHABET.indexOf(char) * (WEIGHTS[at] ?? 0), 0)
  return `${body}${ALPHABET.charAt((31 - (sum % 31)) % 31)}`
}

/** The data of the n-th licence. */
export function licenceOf(n: number): JsonObject {
  const uscc = usccOf(n)
  const type = LICENCE['certificateTypeCode']
  const issuer = LICENCE['issuingAuthorityCode']
  const serial = String(n).padStart(20, '0')
  const check = certificateCheckCharacter(`${type}${issuer}${serial}001`)
  const [holder] = LICENCE['holders'] as readonly JsonObject[]
  return {
    ...LICENCE,
    certificateIdentifier: `1.2.156.3005.2.${type}.${issuer}.${serial}.001.${check}`,
    certificateNumber: uscc,
    holders: [{ ...holder, code: uscc }],
  }
}

/** The n-th company's application, which opens a case about it. */
function applicationOf(n: number): JsonObject {
  const applicationNo = `ME-${String(n).padStart(12, '0')}`
  const { approvalGroup: _group, ...rest } = APPLICATION
  return {
    ...rest,
    applicationNo,
    aliases: [{ scheme: 'application-no', issuer: UTILITY, number: applicationNo }],
    applicant: { ...(APPLICATION['applicant'] as JsonObject), idNumber: usccOf(n) },
  }
}

const now = (): number => Math.floor(Date.now() / 1000)

export function exchange(signer: Signer, iss: string, contract: string, sub: string, data: JsonObject): string {
  const iat = now()
  const exp = iat + (iss === AUTHORITY ? LICENCE_SECONDS : SHORT_SECONDS)
  return signer.sign('exchange+jwt', { iss, aud: HUB, iat, exp, jti: randomUUID(), contract, sub, data })
}

export const licenceToken = (signer: Signer, n: number): string =>
  exchange(signer, AUTHORITY, 'business-licence@1', usccOf(n), licenceOf(n))

/** The token of an application, and what may be asked once it is a case. */
export function applicationToken(signer: Signer, n: number): { readonly token: string; readonly asked: Asked } {
  const data = applicationOf(n)
  const caseNo = String(data['applicationNo'])
  return {
    token: exchange(signer, UTILITY, 'power-application@1', caseNo, data),
    asked: { uscc: usccOf(n), caseNo },
  }
}

/** Makes distinct queries, one subject after the other in an order that no cache of ours foresees. */
export function queryMaker(signer: Signer, asked: readonly Asked[]): () => string {
  return () => {
    const one = asked[Math.floor(Math.random() * asked.length)]
    if (one === undefined) throw new Error('nothing to ask for')
    const iat = now()
    return signer.sign('query+jwt', {
      iss: UTILITY,
      aud: HUB,
      iat,
      exp: iat + SHORT_SECONDS,
      jti: randomUUID(),
      contract: 'business-licence-query@1',
      sub: one.uscc,
      purpose: 'power-connection',
      legalBasis: 'duty',
      item: '11150000MB0000000X2000199001000',
      operator: `staff-${String(Math.floor(Math.random() * 500)).padStart(4, '0')}`,
      caseNo: one.caseNo,
    })
  }
}
