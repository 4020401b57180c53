import { XMLParser } from 'fast-xml-parser'
import { isJsonObject, type Json, type JsonObject } from '#kernel/json.ts'
import type { Dialect, LookUpOutcome, PeerOutcome, PeerReply } from './dialects.ts'

const PATH = '/services/ExchangeService'
const NAMESPACE = 'http://marketing.state-grid-east.example/exchange/v1'
const SUBMISSIONS: readonly string[] = [
  'submitApprovalResult',
  'submitPowerApplication',
  'submitDocumentStatus',
  'submitDataCorrection',
  'submitBusinessNotice',
]
const LOOK_UP = 'queryMessage'

/** A reader of its own, as a foreign system has one: the two ends share no code that could be wrong at both. */
const parser = new XMLParser({ removeNSPrefix: true, parseTagValue: false, processEntities: true })

/** SOAP 1.1 over HTTP. It keeps the number of each message, but takes in again what comes twice; it can be asked. */
export const STATE_GRID_EAST: Dialect = {
  deduplicates: false,
  receiptPrefix: 'SGE-',
  read: ({ url, headers, text }) => {
    const operation = readOperation(text)
    const messageId = operation?.content['messageId']
    const content = operation?.content
    const reference =
      content?.['applicationNo'] ?? content?.['affairNo'] ?? content?.['noticeNo'] ?? content?.['correctionNo']
    const action = operation === undefined ? undefined : `"${NAMESPACE}/${operation.name}"`
    const offered = url === PATH && headers['soapaction'] === action && operation !== undefined
    const submission = offered && SUBMISSIONS.includes(operation.name)
    return {
      operation: operation?.name ?? '',
      kind: submission ? 'submission' : offered && operation.name === LOOK_UP ? 'look-up' : undefined,
      effectKey: typeof messageId === 'string' ? messageId : '',
      reference: typeof reference === 'string' && reference !== '' ? reference : undefined,
      body: operation?.content,
    }
  },
  answer: ({ operation }, outcome, receiptNo) => ANSWERS[outcome](operation, receiptNo ?? ''),
  answerLookUp: (_, outcome, receiptNo) => {
    const number = receiptNo === undefined ? '' : `<ex:receiptNo>${receiptNo}</ex:receiptNo>`
    return inBody(200, response(LOOK_UP, `<ex:status>${STATUSES[outcome]}</ex:status>${number}`))
  },
}

const STATUSES: Readonly<Record<LookUpOutcome, string>> = {
  applied: 'PROCESSED',
  absent: 'NOT_FOUND',
  unclear: 'ARCHIVED',
}

const ANSWERS: Readonly<Record<PeerOutcome, (operation: string, receiptNo: string) => PeerReply>> = {
  applied: (operation, receiptNo) =>
    inBody(200, response(operation, `<ex:resultCode>0</ex:resultCode><ex:receiptNo>${receiptNo}</ex:receiptNo>`)),
  duplicate: () => fault('Server', 'DUPLICATE', 'message was processed before'),
  busy: () => fault('Server', 'BUSY', '系统忙，请稍后重试'),
  invalid: () => fault('Client', 'INVALID', '必填项缺失'),
}

const response = (operation: string, content: string): string =>
  `<ex:${operation}Response xmlns:ex="${NAMESPACE}">${content}</ex:${operation}Response>`

/** HTTP 500 for every Fault (SOAP 1.1 §6.2). */
const fault = (code: string, errorCode: string, text: string): PeerReply =>
  inBody(
    500,
    `<s:Fault><faultcode>s:${code}</faultcode><faultstring>${text}</faultstring><detail><ex:error xmlns:ex="${NAMESPACE}"><ex:errorCode>${errorCode}</ex:errorCode></ex:error></detail></s:Fault>`,
  )

const inBody = (status: number, content: string): PeerReply => ({
  status,
  mediaType: 'text/xml; charset=utf-8',
  body: `<?xml version="1.0" encoding="UTF-8"?><s:Envelope xmlns:s="http://schemas.xmlsoap.org/soap/envelope/"><s:Header/><s:Body>${content}</s:Body></s:Envelope>`,
})

function readOperation(text: string): { readonly name: string; readonly content: JsonObject } | undefined {
  if (text.includes('<!DOCTYPE')) return undefined
  const envelope = member(parse(text), 'Envelope')
  const body = member(envelope, 'Body')
  const [found] = isJsonObject(body) ? Object.entries(body) : []
  if (found === undefined) return undefined
  const [name, content] = found
  return { name, content: isJsonObject(content) ? content : {} }
}

const member = (value: Json | undefined, name: string): Json | undefined =>
  isJsonObject(value) ? value[name] : undefined

function parse(text: string): Json | undefined {
  try {
    return parser.parse(text) as Json
  } catch {
    return undefined
  }
}
