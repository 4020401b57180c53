import { compactVerify, createLocalJWKSet, decodeJwt, type JSONWebKeySet } from 'jose'
import { sha256Digest } from '#kernel/canonical.ts'
import { answerRequests } from './child.ts'
import { AUTHORITY, exchange, licenceOf, licenceToken, signerOf } from './licences.ts'

/** Brings licences to a hub, a signature for each or one for many; never the process under test. */
export interface Brought {
  readonly rows: number
  readonly seconds: number
}

export type Way = 'batch' | 'rows'

const LINES = 1_000
/** The most that the contract takes. */
const ROWS = 200
/** Requests under way at once. */
const LANES = 2

let bodies: { readonly text: string; readonly tokens: readonly string[] }[] = []
let rows = 0

answerRequests({
  /** Signs the licences `from` to `from + count`, before the clock runs. */
  sign({ keysDir, way, from, count }: { keysDir: string; way: Way; from: number; count: number }): void {
    const signer = signerOf(keysDir, AUTHORITY)
    bodies = []
    rows = count
    const size = way === 'batch' ? LINES : ROWS
    for (let at = from; at < from + count; at += size) {
      const numbers = Array.from({ length: Math.min(size, from + count - at) }, (_, index) => at + index)
      if (way === 'batch') {
        const tokens = numbers.map((n) => licenceToken(signer, n))
        bodies.push({ tokens, text: tokens.map((token) => `${JSON.stringify({ token })}\n`).join('') })
      } else {
        const loadId = `load-${at}`
        const data = { loadId, rows: numbers.map(licenceOf) }
        const token = exchange(signer, AUTHORITY, 'business-licence-load@1', loadId, data)
        bodies.push({ tokens: [token], text: token })
      }
    }
  },
  async push({ url, jwks, way }: { url: string; jwks: JSONWebKeySet; way: Way }): Promise<Brought> {
    const begun = performance.now()
    const work = bodies.values()
    const lane = async (): Promise<void> => {
      for (const { text, tokens } of work) {
        const receipts = await (way === 'batch' ? pushBatch(url, text, tokens.length) : pushLoad(url, text))
        const at = Math.floor(Math.random() * receipts.length)
        await verifyReceipt(jwks, tokens[at] ?? '', receipts[at] ?? '')
      }
    }
    await Promise.all(Array.from({ length: LANES }, lane))
    return { rows, seconds: (performance.now() - begun) / 1000 }
  },
})

async function pushBatch(url: string, body: string, count: number): Promise<string[]> {
  const headers = { 'content-type': 'application/x-ndjson' }
  const text = await (await fetch(`${url}/v1/exchanges/batch`, { method: 'POST', headers, body })).text()
  const lines = text.trimEnd().split('\n')
  if (lines.pop() !== `{"end":${count}}`) throw new Error(`the batch ended early: ${text.slice(-500)}`)
  return lines.map((line) => {
    const { receipt } = JSON.parse(line) as { receipt?: string }
    if (receipt === undefined) throw new Error(`not accepted: ${line}`)
    return receipt
  })
}

async function pushLoad(url: string, body: string): Promise<string[]> {
  const headers = { 'content-type': 'application/jwt' }
  const answer = await fetch(`${url}/v1/exchanges`, { method: 'POST', headers, body })
  const receipt = await answer.text()
  if (answer.status !== 202 || answer.headers.has('rows-refused')) throw new Error(`${answer.status} ${receipt}`)
  return [receipt]
}

async function verifyReceipt(jwks: JSONWebKeySet, token: string, receipt: string): Promise<void> {
  const { payload } = await compactVerify(receipt, createLocalJWKSet(jwks))
  const { of } = JSON.parse(new TextDecoder().decode(payload)) as { of: { jti: string; tokenDigest: string } }
  if (of.jti !== decodeJwt(token).jti || of.tokenDigest !== sha256Digest(token)) throw new Error('another receipt')
}
