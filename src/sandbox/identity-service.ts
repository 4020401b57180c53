import { randomBytes, randomUUID } from 'node:crypto'
import { isoTime, systemClock } from '#kernel/clock.ts'
import { atPointer, type JsonObject } from '#kernel/json.ts'
import type { LookUpDialect, LookUpReply } from './lookup-peer.ts'

/** Somebody whom the service knows. Synthetic, always. */
export interface RegisteredPerson {
  readonly name: string
  readonly idNumber: string
}

/** A serial is good for one request within this time. */
const SERIAL_MS = 60_000

interface Serial {
  readonly nonce: string
  readonly mode: string
  readonly untilMs: number
}

/** A photo that begins so is of somebody else. The service took the photo itself; nobody sends it one. */
const SOMEBODY_ELSE = 'other-'

/**
 * Real-person verification in two steps, CTID style: apply(mode) → {serial, nonce}; request(serial, mode, …) → result.
 * Mode 0x40 compares name and number, 0x42 also the photo that the person's terminal left with the service before.
 */
export function identityService(people: readonly RegisteredPerson[], clock = systemClock): LookUpDialect {
  const serials = new Map<string, Serial>()

  const apply = (mode: string): LookUpReply => {
    if (mode !== '0x40' && mode !== '0x42') return reply('E4000', 'unknown mode')
    const nowMs = clock()
    for (const [serial, { untilMs }] of serials) if (untilMs <= nowMs) serials.delete(serial)
    const serial = randomUUID()
    const nonce = randomBytes(16).toString('hex')
    serials.set(serial, { nonce, mode, untilMs: nowMs + SERIAL_MS })
    return reply('0', 'success', { serial, nonce })
  }
  const request = (body: JsonObject, isOdd: boolean): LookUpReply => {
    const [serial, nonce, mode, name, idNumber, photoRef] = FIELDS.map((field) => textAt(body, `/${field}`))
    const applied = serials.get(serial ?? '')
    serials.delete(serial ?? '')
    const fits = applied?.nonce === nonce && applied?.mode === mode && applied !== undefined
    if (!fits || applied.untilMs <= clock()) return reply('E4030', 'no such serial')
    const person = people.find((one) => one.idNumber === idNumber?.toUpperCase())
    const match = person === undefined ? '2' : person.name === name ? '0' : '1'
    const portrait = mode === '0x40' ? '-' : photoRef === '' || photoRef?.startsWith(SOMEBODY_ELSE) ? '1' : '0'
    // Two characters: the first of name and number, the second of the photo.
    const result = isOdd ? '9Z' : `${match}${match === '0' ? portrait : '-'}`
    return reply('0', 'success', { serial: serial ?? '', result, verifiedAt: isoTime(clock()) })
  }

  return {
    answer(path, body, fault) {
      if (path === '/auth/apply') return apply(textAt(body, '/mode'))
      if (path === '/auth/request') return request(body, fault === 'odd-status')
      return { status: 404, body: { message: 'not found' } }
    },
    refuse: (why) => {
      const [code, message] = REFUSALS[why]
      return reply(code, message)
    },
  }
}

const FIELDS = ['serial', 'nonce', 'mode', 'name', 'idNumber', 'photoRef'] as const

const REFUSALS = {
  busy: ['E5030', 'busy'],
  'cap-used-up': ['E4290', 'the cap of the day is used up'],
  invalid: ['E4000', 'a parameter is wrong'],
  unauthorized: ['E4010', 'no such application'],
} as const

const reply = (retCode: string, retMessage: string, fields: JsonObject = {}): LookUpReply => ({
  status: 200,
  body: { retCode, retMessage, ...fields },
})

function textAt(data: JsonObject, pointer: string): string {
  const found = atPointer(data, pointer)
  return typeof found === 'string' ? found : ''
}
