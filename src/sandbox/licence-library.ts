import { createHash, generateKeyPairSync, sign } from 'node:crypto'
import { isoTime, systemClock } from '#kernel/clock.ts'
import { atPointer, isJsonObject, type Json, type JsonObject } from '#kernel/json.ts'
import type { LookUpDialect, LookUpReply } from './lookup-peer.ts'

/** Its own words for the states of a business licence; those of other kinds of licence are others. */
const STATES: Readonly<Record<string, string>> = {
  '01': 'VALID',
  '02': 'SEIZED',
  '03': 'REVOKED',
  '04': 'CANCELLED',
  '05': 'LAPSED',
  '06': 'MOVED',
  '07': 'WITHDRAWN',
}

const DAY_MS = 86_400_000

/**
 * A library of e-licences in the style of GB/T 36906: search by holder, then get by identifier. It names the case and
 * the item of every request, answers with an annotated copy (加注件) that lapses after a day, and seals what it gives.
 */
export function licenceLibrary(licences: readonly JsonObject[], clock = systemClock): LookUpDialect {
  const { privateKey } = generateKeyPairSync('ed25519')
  const find = (holder: string): JsonObject[] =>
    licences.filter((licence) => textAt(licence, '/certificateNumber') === holder)

  const search = (holder: string): LookUpReply => {
    const found = find(holder)
    if (found.length === 0) return reply('1001', 'no licence of this holder')
    return reply('0', 'success', {
      items: found.map((licence) => ({
        certificateIdentifier: textAt(licence, '/certificateIdentifier'),
        certificateVersion: textAt(licence, '/certificateVersion'),
      })),
    })
  }
  const get = (identifier: string, cause: string, isOdd: boolean): LookUpReply => {
    const licence = licences.find((one) => textAt(one, '/certificateIdentifier') === identifier)
    if (licence === undefined) return reply('1001', 'no such licence')
    const nowMs = clock()
    const state = isOdd ? 'UNHEARD-OF' : (STATES[textAt(licence, '/status')] ?? 'OTHER')
    const stateSince = compact(Date.parse(textAt(licence, '/statusTime')))
    const { status: _status, statusTime: _time, copy: _copy, ...metadata } = licence
    const copy = { createdAt: compact(nowMs), creator: '电子证照库（沙箱）', cause, expiresAt: compact(nowMs + DAY_MS) }
    const digest = createHash('sha256').update(JSON.stringify(licence)).digest()
    const seal = {
      digest: `sha-256:${digest.toString('base64url')}`,
      value: sign(null, digest, privateKey).toString('base64url'),
    }
    return reply('0', 'success', { metadata, state, stateSince, copy, seal })
  }

  return {
    answer(path, body, fault) {
      const head = atPointer(body, '/head')
      const named = ['/serviceItemCode', '/caseNo', '/operator', '/requestId'].every((at) => textAt(head, at) !== '')
      if (!named) return reply('4000', 'item, case, operator and request are named in every request')
      if (path === '/licence/search') return search(textAt(body, '/data/holderCode'))
      if (path !== '/licence/get') return { status: 404, body: { message: 'not found' } }
      return get(textAt(body, '/data/certificateIdentifier'), textAt(body, '/data/cause'), fault === 'odd-status')
    },
    refuse: (why) => {
      const [code, message] = REFUSALS[why]
      return reply(code, message)
    },
  }
}

const REFUSALS = {
  busy: ['5030', 'busy'],
  'cap-used-up': ['4290', 'the cap of the day is used up'],
  invalid: ['4000', 'a parameter is wrong'],
  unauthorized: ['4010', 'no such application'],
} as const

/** Everything travels under 200, as these systems do. */
const reply = (code: string, message: string, data: JsonObject = {}): LookUpReply => ({
  status: 200,
  body: { head: { code, message }, data },
})

/** YYYYMMDDThhmmss without a zone, which means Asia/Shanghai. */
const compact = (ms: number): string => isoTime(ms + 8 * 3_600_000).replaceAll(/[-:]|\.\d+Z$/g, '')

function textAt(data: Json | undefined, pointer: string): string {
  const found = isJsonObject(data) ? atPointer(data, pointer) : undefined
  return typeof found === 'string' ? found : ''
}
