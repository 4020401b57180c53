import { Agent, request } from 'node:http'
import { setTimeout as sleep } from 'node:timers/promises'
import { answerRequests } from './child.ts'
import { signerOf } from './licences.ts'
import { messageMaker } from './message.ts'

/** Some parties' exchanges at a rate of their own, whatever the answers take; never the process under test. */
export interface Sent {
  readonly accepted: number
  /** Answered 429. */
  readonly limited: number
  readonly seconds: number
  /** Of accepted ones, from when each was due. */
  readonly latenciesMs: readonly number[]
}

const agent = new Agent({ keepAlive: true, maxSockets: 1_024, scheduling: 'lifo' })
let makers: (() => string)[] = []
const tokens: string[] = []

answerRequests({
  open({ keysDir, parties }: { keysDir: string; parties: readonly string[] }): void {
    makers = parties.map((party) => {
      const make = messageMaker(signerOf(keysDir, party), { iss: party })
      return () => make().token
    })
  },
  /** Signs ahead what one window can use up. */
  sign({ count }: { count: number }): void {
    while (tokens.length < count) tokens.push(makers[tokens.length % makers.length]?.() ?? '')
  },
  async steady({ url, perSecond, seconds }: { url: string; perSecond: number; seconds: number }): Promise<Sent> {
    const { send, sent, begun } = openWindow(url)
    const under: Promise<void>[] = []
    for (let n = 0; n < perSecond * seconds; n++) {
      const due = begun + (n / perSecond) * 1000
      while (performance.now() < due) await sleep(1)
      under.push(send(nextToken(), due))
    }
    await Promise.all(under)
    return sent()
  },
  /** At most so many requests under way and a second; what is turned away is sent again and again. */
  async flood({ url, lanes, perSecond, seconds }: Flood): Promise<Sent> {
    const { send, sent, begun } = openWindow(url)
    let n = 0
    const lane = async (): Promise<void> => {
      for (;;) {
        const due = begun + (n++ / perSecond) * 1000
        if (due >= begun + seconds * 1000 || performance.now() >= begun + seconds * 1000) return
        while (performance.now() < due) await sleep(1)
        await send(nextToken(), due)
      }
    }
    await Promise.all(Array.from({ length: lanes }, lane))
    return sent()
  },
})

interface Flood {
  readonly url: string
  readonly lanes: number
  readonly perSecond: number
  readonly seconds: number
}

const nextToken = (): string => tokens.shift() ?? makers[0]?.() ?? ''

function openWindow(url: string) {
  const begun = performance.now()
  const latenciesMs: number[] = []
  let limited = 0
  return {
    begun,
    async send(token: string, due: number): Promise<void> {
      const status = await post(url, token)
      if (status === 202) latenciesMs.push(performance.now() - due)
      else {
        // It was not taken, so it may be sent again.
        limited++
        tokens.push(token)
      }
    },
    sent: (): Sent => ({
      accepted: latenciesMs.length,
      limited,
      seconds: (performance.now() - begun) / 1000,
      latenciesMs,
    }),
  }
}

/** 202 or 429; anything else ends the bench. */
function post(url: string, token: string): Promise<number> {
  return new Promise((resolve, reject) => {
    const headers = { 'content-type': 'application/jwt', 'content-length': token.length }
    const call = request(url, { method: 'POST', agent, headers }, (response) => {
      let body = ''
      response.setEncoding('latin1')
      response.on('data', (chunk: string) => {
        body += chunk
      })
      response.on('error', reject)
      response.on('end', () => {
        const status = response.statusCode ?? 0
        if (status === 202 || status === 429) resolve(status)
        else reject(new Error(`expected 202 or 429, got ${status}: ${body.slice(0, 500)}`))
      })
    })
    call.on('error', reject)
    call.end(token)
  })
}
