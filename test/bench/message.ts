import { randomUUID } from 'node:crypto'
import { readFileSync } from 'node:fs'
import path from 'node:path'
import type { JsonObject } from '#kernel/json.ts'
import { readPartySigner } from '#parties/key-files.ts'
import type { Signer } from '#trust/sign.ts'

export const ROOT = path.join(import.meta.dirname, '..', '..')
export const HUB = 'dianqiao'
export const CONTRACT = 'approval-result@1'
/** `result`: an approval result without a case, which waits unrouted; `application`: goes to the utility at once. */
export type MessageKind = 'result' | 'application'
/** An approval platform whose seeded key is ES256. */
export const SENDER = 'platform-chifeng'

const RESULT = path.join(ROOT, 'schemas/approval-result/examples/valid/approved.json')
const APPLICATION = path.join(ROOT, 'schemas/power-application/examples/valid/low-voltage-enterprise.json')
/** The longest life that the contract allows, so that a token signed before a window outlives it. */
const LIFE_SECONDS = 600

interface MessageOptions {
  readonly kind?: MessageKind
  readonly iss?: string
}

export interface Message {
  readonly claims: JsonObject
  readonly token: string
}

export function senderSigner(keysDir: string): Signer {
  const signer = readPartySigner(keysDir, SENDER)
  if (signer === undefined) throw new Error(`no key of ${SENDER} in ${keysDir}`)
  return signer
}

/** Makes distinct messages of about 2 KB: another business number, case and jti in each. */
export function messageMaker(signer: Signer, { kind = 'result', iss = SENDER }: MessageOptions = {}): () => Message {
  const example = JSON.parse(readFileSync(kind === 'result' ? RESULT : APPLICATION, 'utf8')) as JsonObject
  const run = randomUUID().slice(0, 8)
  let count = 0
  return () => {
    const now = Math.floor(Date.now() / 1000)
    const number = `150402-${run}-${String(++count).padStart(8, '0')}`
    const past = new Date((now - 3600) * 1000).toISOString()
    const message =
      kind === 'result'
        ? { contract: CONTRACT, data: { ...example, affairNo: number, finishedAt: past } }
        : { contract: 'power-application@1', data: application(example, number, past) }
    const claims = {
      iss,
      aud: HUB,
      iat: now,
      exp: now + LIFE_SECONDS,
      jti: randomUUID(),
      ...message,
      sub: number,
    }
    return { claims, token: signer.sign('exchange+jwt', claims) }
  }
}

const application = (example: JsonObject, applicationNo: string, appliedAt: string): JsonObject => ({
  ...example,
  applicationNo,
  appliedAt,
  aliases: [
    { scheme: 'application-no', issuer: 'state-grid-east', number: applicationNo },
    { scheme: 'affair-no', issuer: SENDER, number: `A-${applicationNo}` },
  ],
})
