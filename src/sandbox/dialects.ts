import { atPointer, isJsonObject, type Json, type JsonObject } from '#kernel/json.ts'

export type DialectName = 'state-grid-east' | 'inner-mongolia-power'

export type PeerOutcome = 'applied' | 'duplicate' | 'busy' | 'invalid'

/** How one marketing system speaks: where it finds the effect key and the business number, and how it answers. */
export interface Dialect {
  readonly effectKeyHeader: string
  readonly paths: readonly string[]
  /** The business number of a body that this system would take, or undefined for one that it rejects. */
  readonly referenceIn: (body: Json) => string | undefined
  readonly answer: (outcome: PeerOutcome, receiptNo: string | undefined) => { status: number; body: JsonObject }
}

const textAt = (body: Json, pointer: string): string | undefined => {
  const found = isJsonObject(body) ? atPointer(body, pointer) : undefined
  return typeof found === 'string' && found.length > 0 ? found : undefined
}

const STATE_GRID_EAST: Record<PeerOutcome, { status: number; code: string; message: string }> = {
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
  'state-grid-east': {
    effectKeyHeader: 'idempotency-key',
    paths: ['/api/v1/approval-results', '/api/v1/power-applications'],
    referenceIn: (body) => textAt(body, '/applicationNo') ?? textAt(body, '/affairNo'),
    answer: (outcome, receiptNo) => {
      const { status, code, message } = STATE_GRID_EAST[outcome]
      return { status, body: { code, message, ...(receiptNo === undefined ? {} : { data: { receiptNo } }) } }
    },
  },
  'inner-mongolia-power': {
    effectKeyHeader: 'x-msg-id',
    paths: ['/mktg/esb/SPJG', '/mktg/esb/YDSQ'],
    referenceIn: (body) => textAt(body, '/BODY/SQBH') ?? textAt(body, '/BODY/BJBH'),
    answer: (outcome, receiptNo) => {
      const { code, message } = INNER_MONGOLIA_POWER[outcome]
      const head = { RETCODE: code, RETMSG: message, ...(receiptNo === undefined ? {} : { JSLSH: receiptNo }) }
      return { status: 200, body: { HEAD: head } }
    },
  },
})
