import { randomUUID } from 'node:crypto'
import { readFileSync } from 'node:fs'
import path from 'node:path'
import type { JsonObject } from '#kernel/json.ts'
import { readPartySigner } from '#parties/key-files.ts'
import type { Signer } from '#trust/sign.ts'

export const ROOT = path.join(import.meta.dirname, '..', '..')
export const HUB = 'dianqiao'
export const CONTRACT = 'approval-result@1'
/** An approval platform whose seeded key is ES256. */
export const SENDER = 'platform-chifeng'

const EXAMPLE = path.join(ROOT, 'schemas/approval-result/examples/valid/approved.json')
/** The longest life that the contract allows, so that a token signed before a window outlives it. */
const LIFE_SECONDS = 600

export interface Message {
  readonly claims: JsonObject
  readonly token: string
}

export function senderSigner(keysDir: string): Signer {
  const signer = readPartySigner(keysDir, SENDER)
  if (signer === undefined) throw new Error(`no key of ${SENDER} in ${keysDir}`)
  return signer
}

/** Makes distinct approval results of 2 KB: another affair number, case and jti in each. */
export function messageMaker(signer: Signer): () => Message {
  const example = JSON.parse(readFileSync(EXAMPLE, 'utf8')) as JsonObject
  const run = randomUUID().slice(0, 8)
  let count = 0
  return () => {
    const now = Math.floor(Date.now() / 1000)
    const affairNo = `150402-${run}-${String(++count).padStart(8, '0')}`
    const finishedAt = new Date((now - 3600) * 1000).toISOString()
    const claims = {
      iss: SENDER,
      aud: HUB,
      iat: now,
      exp: now + LIFE_SECONDS,
      jti: randomUUID(),
      contract: CONTRACT,
      sub: affairNo,
      data: { ...example, affairNo, finishedAt },
    }
    return { claims, token: signer.sign('exchange+jwt', claims) }
  }
}
