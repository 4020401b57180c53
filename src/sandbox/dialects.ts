import type { IncomingHttpHeaders } from 'node:http'
import { atPointer, isJsonObject, type Json, type JsonObject } from '#kernel/json.ts'
import { STATE_GRID_EAST } from './soap-dialect.ts'

export type DialectName = 'state-grid-east' | 'inner-mongolia-power' | 'rest'

export type PeerOutcome = 'applied' | 'duplicate' | 'busy' | 'invalid'

/** What a look-up finds out. `unclear` is scripted: the system answers, but does not say. */
export type LookUpOutcome = 'applied' | 'absent' | 'unclear'

export interface PeerQuestion {
  readonly url: string
  readonly headers: IncomingHttpHeaders
  readonly text: string
}

/** A request as the system understands it. */
export interface PeerMessage {
  /** Undefined for a request to something that this system does not offer. */
  readonly kind: 'submission' | 'look-up' | undefined
  /** What is asked for, in the system's own words. */
  readonly operation: string
  readonly effectKey: string
  /** The business number of a body that this system would take, or undefined for one that it rejects. */
  readonly reference: string | undefined
  readonly body: Json | undefined
}

export interface PeerReply {
  readonly status: number
  readonly mediaType: string
  readonly body: string
}

/** How one marketing system speaks, and whether it recognises a message that it has already. */
export interface Dialect {
  readonly deduplicates: boolean
  readonly receiptPrefix: string
  readonly read: (question: PeerQuestion) => PeerMessage
  readonly answer: (message: PeerMessage, outcome: PeerOutcome, receiptNo: string | undefined) => PeerReply
  readonly answerLookUp: (message: PeerMessage, outcome: LookUpOutcome, receiptNo: string | undefined) => PeerReply
}

interface JsonSystem {
  readonly receiptPrefix: string
  readonly effectKeyHeader: string
  readonly paths: readonly string[]
  readonly lookUpPath?: string
  readonly references: readonly string[]
  readonly reply: (outcome: PeerOutcome, receiptNo: string | undefined) => { status: number; body: JsonObject }
}

const textAt = (body: Json | undefined, pointer: string): string | undefined => {
  const found = isJsonObject(body) ? atPointer(body, pointer) : undefined
  return typeof found === 'string' && found.length > 0 ? found : undefined
}

const JSON_TYPE = 'application/json; charset=utf-8'
const asReply = (status: number, body: JsonObject): PeerReply => ({
  status,
  mediaType: JSON_TYPE,
  body: JSON.stringify(body),
})

function jsonDialect(system: JsonSystem): Dialect {
  const { receiptPrefix, effectKeyHeader, paths, lookUpPath, references, reply } = system
  return {
    deduplicates: true,
    receiptPrefix,
    read: ({ url, headers, text }) => {
      const body = parseJson(text)
      const key = headers[effectKeyHeader]
      const reference = references.map((pointer) => textAt(body, pointer)).find((found) => found !== undefined)
      const kind = paths.includes(url) ? 'submission' : url === lookUpPath ? 'look-up' : undefined
      return { kind, operation: url, effectKey: typeof key === 'string' ? key : '', reference, body }
    },
    answer: (_, outcome, receiptNo) => {
      const { status, body } = reply(outcome, receiptNo)
      return asReply(status, body)
    },
    answerLookUp: (_, outcome, receiptNo) => {
      if (outcome === 'applied') return asReply(200, { code: '0', data: { receiptNo: receiptNo ?? '' } })
      return outcome === 'absent' ? asReply(404, { code: 'NOT_FOUND' }) : asReply(200, { code: 'ARCHIVED' })
    },
  }
}

export function parseJson(text: string): Json | undefined {
  try {
    return JSON.parse(text) as Json
  } catch {
    return undefined
  }
}

const REST: Record<PeerOutcome, { status: number; code: string; message: string }> = {
  applied: { status: 200, code: '0', message: 'success' },
  duplicate: { status: 409, code: 'DUPLICATE', message: 'message was processed before' },
  busy: { status: 200, code: 'BUSY', message: 'try again later' },
  invalid: { status: 422, code: 'INVALID', message: 'a required field is missing' },
}

const INNER_MONGOLIA_POWER: Record<PeerOutcome, { code: string; message: string }> = {
  applied: { code: '0000', message: '成功' },
  duplicate: { code: '1001', message: '重复报文' },
  busy: { code: '9001', message: '系统忙' },
  invalid: { code: '2001', message: '数据校验不通过' },
}

export const DIALECTS: Readonly<Record<DialectName, Dialect>> = Object.freeze({
  'state-grid-east': STATE_GRID_EAST,
  'inner-mongolia-power': jsonDialect({
    receiptPrefix: 'NMDL',
    effectKeyHeader: 'x-msg-id',
    paths: ['/mktg/esb/SPJG', '/mktg/esb/YDSQ', '/mktg/esb/ZZZT', '/mktg/esb/SJGZ', '/mktg/esb/YWTZ'],
    references: ['/BODY/SQBH', '/BODY/BJBH', '/BODY/TZBH', '/BODY/GZBH'],
    reply: (outcome, receiptNo) => {
      const { code, message } = INNER_MONGOLIA_POWER[outcome]
      const head = { RETCODE: code, RETMSG: message, ...(receiptNo === undefined ? {} : { JSLSH: receiptNo }) }
      return { status: 200, body: { HEAD: head } }
    },
  }),
  rest: jsonDialect({
    receiptPrefix: 'REST-',
    effectKeyHeader: 'idempotency-key',
    paths: ['/api/v1/approval-results', '/api/v1/power-applications'],
    lookUpPath: '/api/v1/message-look-ups',
    references: ['/applicationNo', '/affairNo'],
    reply: (outcome, receiptNo) => {
      const { status, code, message } = REST[outcome]
      return { status, body: { code, message, ...(receiptNo === undefined ? {} : { data: { receiptNo } }) } }
    },
  }),
})
