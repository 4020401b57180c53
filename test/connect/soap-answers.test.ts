import path from 'node:path'
import { expect, it } from 'vitest'
import { judgeAnswer, judgeLookUp } from '#connect/answers.ts'
import { loadManifest, type Manifest, type SoapManifest } from '#connect/manifest.ts'
import { buildEnvelope, readEnvelope } from '#connect/soap-envelope.ts'
import { FAULT_CODES, NAMED_FAULTS, type NamedFault, rowOfFaultCode } from '#connect/soap-faults.ts'

const ENVELOPE = 'http://schemas.xmlsoap.org/soap/envelope/'
const CONTRACT = 'approval-result@1'
const envelope = (body: string, namespace = ENVELOPE): string =>
  `<s:Envelope xmlns:s="${namespace}"><s:Body>${body}</s:Body></s:Envelope>`
const fault = (code: string, own = ''): string =>
  envelope(
    `<s:Fault><faultcode>s:${code}</faultcode><faultstring>x</faultstring><detail><own>${own}</own></detail></s:Fault>`,
  )
const answer = (status: number, body: string, retryAfterMs?: number) =>
  ({ kind: 'answer', status, retryAfterMs, body }) as const

async function soap(codes: Record<string, NamedFault> = {}): Promise<SoapManifest> {
  const manifest = await loadManifest(path.join(import.meta.dirname, '../../connectors/state-grid-east-marketing'))
  if (manifest.transport !== 'soap') throw new Error('State Grid East speaks SOAP')
  return { ...manifest, faults: { pointer: '/detail/own', codes } }
}

it.each(Object.entries(FAULT_CODES))(
  'the fault code %s is read as the table says, under 200 as under 500',
  async (code, row) => {
    const manifest = await soap()
    for (const status of [200, 400, 500]) {
      expect(judgeAnswer(manifest, CONTRACT, answer(status, fault(code)))).toMatchObject(row)
    }
  },
)

it.each(Object.entries(NAMED_FAULTS))(
  'a code of the system that its manifest calls %s wins over the fault code',
  async (name, row) => {
    const manifest = await soap({ OWN: name as NamedFault })
    for (const code of ['Client', 'Server']) {
      expect(judgeAnswer(manifest, CONTRACT, answer(500, fault(code, 'OWN')))).toMatchObject(row)
    }
    expect(judgeAnswer(manifest, CONTRACT, answer(500, fault('Client', 'constructor')))).toMatchObject(
      FAULT_CODES.Client,
    )
  },
)

it('a dotted code is a case of what stands before the dot, and a code of nobody is like Server', () => {
  expect(rowOfFaultCode('soapenv:Client.Data.Missing')).toEqual(FAULT_CODES.Client)
  expect(rowOfFaultCode('Client.Authentication.Expired')).toEqual(FAULT_CODES['Client.Authentication'])
  for (const code of ['ns1:Whatever', '', 'toString']) expect(rowOfFaultCode(code)).toEqual(FAULT_CODES.Server)
})

it('statuses that speak for the endpoint win over a Fault in their body', async () => {
  const manifest = await soap()
  const judged = [answer(401, fault('Client')), answer(410, fault('Client')), answer(503, fault('Client'), 1_000)]
  expect(judged.map((one) => judgeAnswer(manifest, CONTRACT, one).class)).toEqual(['unauthorized', 'gone', 'throttle'])
})

it('a 2xx that is no envelope of SOAP 1.1 is not the answer of the system: its outcome is unknown', async () => {
  const manifest = await soap()
  const wrong = [
    '',
    '<html/>',
    '{"resultCode":"0"}',
    envelope('<a/>', 'http://www.w3.org/2003/05/soap-envelope'),
    envelope('<a>').slice(0, -5),
  ]
  for (const body of wrong) {
    expect(judgeAnswer(manifest, CONTRACT, answer(200, body))).toMatchObject({ class: 'retry', unknown: true })
    expect(judgeLookUp(manifest, answer(200, body)).finding).toBe('unreachable')
  }
})

it('elements stand in the namespace of the manifest, or outside it where the schema wants that', async () => {
  const { soap: wire } = await soap()
  const [qualified, unqualified] = (['qualified', 'unqualified'] as const).map((elements) =>
    buildEnvelope({ ...wire, elements }, 'submit', { b: '1', a: '<&>' }),
  )
  expect(qualified).toContain(`<submit xmlns="${wire.namespace}"><b>1</b><a>&lt;&amp;&gt;</a></submit>`)
  expect(unqualified).toContain(`<m:submit xmlns:m="${wire.namespace}"><b>1</b><a>&lt;&amp;&gt;</a></m:submit>`)
  for (const text of [qualified, unqualified]) {
    expect(readEnvelope(text ?? '')).toEqual({ kind: 'body', body: { b: '1', a: '<&>' } })
  }
})

it('a look-up over REST tells applied, absent by status, and everything else', async () => {
  const rest: Manifest = {
    ...(await loadManifest(path.join(import.meta.dirname, 'rest-marketing'))),
    transport: 'http',
    contracts: {},
    confirm: {
      method: 'POST',
      path: '/api/v1/message-look-ups',
      mapping: 'confirm.jsonata',
      applied: { status: 200, match: { pointer: '/code', equals: ['0'] } },
      absent: { status: 404 },
      recipientRef: '/data/receiptNo',
    },
  }
  const findings = [
    answer(200, '{"code":"0","data":{"receiptNo":"R-1"}}'),
    answer(404, '{}'),
    answer(200, '{"code":"ARCHIVED"}'),
    answer(422, '{}'),
    answer(200, '{"code":"BUSY"}'),
    answer(500, ''),
    answer(401, ''),
    { kind: 'failure', reason: 'timeout', detail: '', sent: true } as const,
  ].map((one) => judgeLookUp(rest, one))
  expect(findings.map(({ finding }) => finding)).toEqual([
    'applied',
    'absent',
    'unclear',
    'unclear',
    'unreachable',
    'unreachable',
    'unreachable',
    'unreachable',
  ])
  expect(findings[0]?.verdict.recipientRef).toBe('R-1')
})
