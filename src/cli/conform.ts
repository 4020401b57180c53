import { randomUUID } from 'node:crypto'
import { setTimeout as sleep } from 'node:timers/promises'
import pc from 'picocolors'
import type { JsonObject } from '#kernel/json.ts'
import { openPartyClient, type PartyClient } from '#sandbox/party-client.ts'
import { createSigner } from '#trust/sign.ts'
import { readJsonFile } from './json-file.ts'
import { printJson, say } from './output.ts'

export interface ConformOptions {
  readonly hub: string
  readonly hubId: string
  readonly party: string
  /** Private JWK. */
  readonly key: string
}

interface Check {
  readonly name: string
  /** Resolves to what was seen when that is not what should be. */
  readonly run: () => Promise<string | undefined>
}

const MAX_OFFSET_SECONDS = 30

/**
 * A conformance run from the party's side, with its own key and nothing that leaves a trace at anybody else: clock,
 * proof of possession, request tokens, and the refusals that the party must be able to verify. Exit code 0 or 1.
 */
export async function conform(options: ConformOptions): Promise<number> {
  const hub = options.hub.replace(/\/$/, '')
  const signer = createSigner(readJsonFile(options.key))
  const client = await openPartyClient(hub, options.hubId, options.party, signer)
  let failed = 0
  for (const { name, run } of checks(hub, client)) {
    const seen = await run().catch((error: unknown) => String(error))
    if (seen !== undefined) failed += 1
    printJson({ check: name, ok: seen === undefined, ...(seen === undefined ? {} : { seen }) })
    say(`${seen === undefined ? pc.green('✓') : pc.red('✗')} ${name}${seen === undefined ? '' : `: ${seen}`}`)
  }
  return failed === 0 ? 0 : 1
}

function checks(hub: string, client: PartyClient): readonly Check[] {
  const harmless = { contract: 'delivery-ack@1', sub: randomUUID(), data: {} }
  const refused = (name: string, code: string, claims: JsonObject): Check => ({
    name,
    run: async () => {
      const answer = await client.push({ ...harmless, claims })
      if (answer.code !== code) return `${answer.status} ${answer.code}`
      return answer.verified === true ? undefined : 'the refusal does not verify with the published keys'
    },
  })
  const now = Math.floor(Date.now() / 1_000)
  return [
    { name: 'clock within 30 s of the hub', run: () => clockOffset(hub) },
    { name: 'possession of the key is proven', run: () => status(client.prove(), 200) },
    {
      name: 'a request token proves the party',
      run: () => onceKnown(() => status(client.get(`/v1/exchanges/${randomUUID()}`), 404)),
    },
    refused('a token for another environment is refused', 'token.audience_wrong', { aud: 'elsewhere' }),
    refused('an expired token is refused', 'token.expired', { iat: now - 7_200, exp: now - 3_600 }),
    refused('a claim that no type has is refused', 'token.claims_invalid', { scope: 'all' }),
    refused('an unknown contract is refused', 'contract.unknown', { contract: 'no-such-contract@1' }),
    {
      name: 'an altered token proves nothing',
      run: async () => {
        const token = client.exchangeToken(harmless)
        const other = token.at(-3) === 'A' ? 'B' : 'A'
        const answer = await client.pushToken(`${token.slice(0, -3)}${other}${token.slice(-2)}`)
        return answer.code === 'token.signature_invalid' ? undefined : `${answer.status} ${answer.code}`
      },
    },
  ]
}

/** A gateway that did not take the proof itself learns of it within 5 s. */
async function onceKnown(run: () => Promise<string | undefined>): Promise<string | undefined> {
  const until = Date.now() + 6_000
  for (;;) {
    const seen = await run()
    if (seen?.includes('token.key_inactive') !== true || Date.now() > until) return seen
    await sleep(200)
  }
}

async function status(
  answer: Promise<{ status: number; body: JsonObject }>,
  expected: number,
): Promise<string | undefined> {
  const { status: given, body } = await answer
  return given === expected ? undefined : `${given} ${String(body['code'] ?? '')}`
}

async function clockOffset(hub: string): Promise<string | undefined> {
  const asked = Date.now()
  const response = await fetch(`${hub}/v1/time`)
  const { epochMs } = (await response.json()) as { epochMs: number }
  const offset = Math.round((epochMs - (asked + Date.now()) / 2) / 1_000)
  return Math.abs(offset) <= MAX_OFFSET_SECONDS ? undefined : `${offset} s`
}
