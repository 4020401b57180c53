import { inTopic, outTopic, receiptTopic } from '#bus/topic-names.ts'
import type { Contract } from '#contracts/contract.ts'
import type { JsonObject } from '#kernel/json.ts'

const SCHEMA_FORMAT = 'application/schema+json;version=draft-2020-12'

const text = (description: string, example?: string): JsonObject => ({
  type: 'string',
  description,
  ...(example === undefined ? {} : { examples: [example] }),
})

/** CloudEvents in Kafka binary mode (PROTOCOL, Kafka), as the relay and the door write them. */
const CLOUD_EVENT = {
  ce_id: text('Id of the delivery, or of the answer; the same when it is published again'),
  ce_source: text('urn:dianqiao: and the id of the hub'),
  ce_type: text('The contract, or receipt or refusal', 'approval-result@1'),
  ce_specversion: { const: '1.0' },
  'content-type': text('application/jwt; application/jose where the token is wrapped for the recipient'),
  traceparent: text('W3C Trace Context'),
}

const HEADERS = {
  in: { type: 'object', properties: { traceparent: CLOUD_EVENT.traceparent } },
  out: {
    type: 'object',
    required: ['ce_id', 'ce_source', 'ce_type', 'ce_specversion', 'ce_time', 'content-type', 'dx-receipt'],
    properties: {
      ...CLOUD_EVENT,
      ce_time: { type: 'string', format: 'date-time', description: 'When it was accepted' },
      'dx-receipt': text('The hub’s receipt+jwt'),
      'dx-contract': text('name@major'),
      'dx-order-key': text('Deliveries of one key come in their order'),
      'dx-deliver-by': {
        type: 'string',
        format: 'date-time',
        description: 'After it the sender hears of a non-delivery',
      },
    },
  },
  receipt: {
    type: 'object',
    required: ['ce_id', 'ce_source', 'ce_type', 'ce_specversion', 'content-type', 'dx-of'],
    properties: { ...CLOUD_EVENT, 'dx-of': text('The message that is answered', 'dx.in.approval-chifeng/0/42') },
  },
} satisfies Record<string, JsonObject>

/** What goes through the broker, as an AsyncAPI 3 document of the hub: it receives on `in` and sends on the others. */
export function asyncApiDocument(contracts: readonly Contract[], hubId: string): JsonObject {
  const exchanged = contracts.filter(({ kind }) => kind !== 'query')
  const delivered = exchanged.filter(({ routing }) => routing.some(({ to }) => to !== 'none'))
  return {
    asyncapi: '3.0.0',
    info: {
      title: '电桥 Dianqiao',
      version: '1',
      description: 'Signed exchanges over Kafka: the value is the token itself, wrapped as a JWE where it is personal',
    },
    defaultContentType: 'application/jwt',
    servers: {
      broker: {
        host: '{broker}',
        protocol: 'kafka-secure',
        description: 'Apache Kafka 4; ACLs give a party its own three topics and no others',
        variables: { broker: { description: 'host:port, as the operator of the hub names it' } },
        security: [{ $ref: '#/components/securitySchemes/scram' }],
      },
    },
    channels: {
      in: channel(inTopic('{party}'), 'From a party to the hub; iss must be the party of the topic', exchanged),
      out: channel(outTopic('{party}'), 'From the hub to a party; later generations end in .G2, .G3 …', delivered),
      receipt: {
        address: receiptTopic('{party}'),
        description: 'Receipts and refusals of what came by Kafka',
        parameters: PARTY,
        messages: { receipt: message('receipt'), refusal: message('refusal') },
      },
    },
    operations: {
      acceptExchange: { action: 'receive', channel: { $ref: '#/channels/in' }, summary: '受理 / Accept an exchange' },
      deliverExchange: { action: 'send', channel: { $ref: '#/channels/out' }, summary: '投递 / Deliver an exchange' },
      answerExchange: { action: 'send', channel: { $ref: '#/channels/receipt' }, summary: '回执 / Answer an exchange' },
    },
    components: {
      securitySchemes: { scram: { type: 'scramSha512', description: 'SASL/SCRAM over TLS, one user for each party' } },
      messages: {
        ...Object.fromEntries(exchanged.map((one) => [`in-${one.ref}`, exchangeMessage(one, hubId, 'in')])),
        ...Object.fromEntries(delivered.map((one) => [`out-${one.ref}`, exchangeMessage(one, hubId, 'out')])),
        receipt: signedMessage('receipt+jwt', '回执 / Durably accepted'),
        refusal: signedMessage('refusal+jwt', '拒收 / Refused; application/problem+json where it could not be signed'),
      },
    },
  }
}

const PARTY = { party: { description: 'Party id, such as approval-chifeng' } }

const message = (id: string): JsonObject => ({ $ref: `#/components/messages/${id}` })

function channel(address: string, description: string, contracts: readonly Contract[]): JsonObject {
  const side = address === inTopic('{party}') ? 'in' : 'out'
  const messages = Object.fromEntries(contracts.map(({ ref }) => [ref, message(`${side}-${ref}`)]))
  return { address, description, parameters: PARTY, messages }
}

/** The claims as the token carries them; their data is described by the schema of the contract itself. */
function exchangeMessage(contract: Contract, hubId: string, side: 'in' | 'out'): JsonObject {
  const { ref, title, description, personal, schemaDocument } = contract
  const claims = {
    type: 'object',
    required: ['iss', 'aud', 'iat', 'exp', 'jti', 'contract', 'sub', 'data'],
    properties: {
      iss: text('Party id of the sender'),
      aud: { const: hubId },
      iat: NUMERIC_DATE,
      exp: NUMERIC_DATE,
      jti: { type: 'string', pattern: '^[A-Za-z0-9._~-]{8,64}$', description: 'Unique per issuer for ever' },
      contract: { const: ref },
      sub: text(`What ${contract.sub} finds in the data`),
      data: schemaDocument,
      ...Object.fromEntries(OPTIONAL_CLAIMS.map((name) => [name, {}])),
    },
    additionalProperties: false,
  }
  return {
    name: ref,
    title: `${title.zh} / ${title.en}`,
    summary: description.en,
    contentType: personal ? 'application/jose' : 'application/jwt',
    headers: HEADERS[side],
    payload: tokenSchema('exchange+jwt', claims),
  }
}

const NUMERIC_DATE = { type: 'integer', description: 'NumericDate (RFC 7519 §2)' }
const OPTIONAL_CLAIMS = ['nbf', 'caseNo', 'obo', 'supersedes', 'act']

const signedMessage = (typ: string, title: string): JsonObject => ({
  name: typ,
  title,
  contentType: 'application/jwt',
  headers: HEADERS.receipt,
  payload: tokenSchema(typ, { type: 'object' }),
})

/** A compact JWS whose claims are as `contentSchema` says (JSON Schema 2020-12, Validation §8.5). */
const tokenSchema = (typ: string, claims: JsonObject): JsonObject => ({
  schemaFormat: SCHEMA_FORMAT,
  schema: {
    type: 'string',
    description: `Compact JWS (RFC 7515) of type ${typ}`,
    contentMediaType: 'application/jwt',
    contentSchema: claims,
  },
})
