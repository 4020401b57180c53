import { createPublicKey, generateKeyPairSync, type KeyObject, randomUUID, sign, verify } from 'node:crypto'
import { readFileSync } from 'node:fs'
import { createServer, type ServerResponse } from 'node:http'
import type { AddressInfo } from 'node:net'
import path from 'node:path'
import type { ValidateFunction } from 'ajv'
import type pg from 'pg'
import { createAjv } from '#contracts/ajv.ts'
import { uuidv7 } from '#kernel/ids.ts'
import type { JsonObject } from '#kernel/json.ts'
import { answerRequests } from './child.ts'
import { decode, encode, openLanes } from './floor-lanes.ts'
import { ROOT } from './message.ts'

/**
 * The bare composed process that the hub is measured against: node:http, ES256 verify, JSON.parse, ajv, one batched
 * insert of exchange and delivery row, ES256 sign. Nothing else: no claims, no rights, no replay, no refusals.
 */
const TABLES = `
  CREATE TABLE exchange (
    id uuid PRIMARY KEY, iss text NOT NULL, jti text NOT NULL, contract text NOT NULL, sub text NOT NULL,
    token text NOT NULL, accepted_at timestamptz NOT NULL) WITH (toast_tuple_target = 8160);
  ALTER TABLE exchange ALTER COLUMN token SET STORAGE EXTERNAL;
  CREATE TABLE delivery (
    id uuid PRIMARY KEY, exchange uuid NOT NULL, recipient text NOT NULL, state text NOT NULL,
    accepted_at timestamptz NOT NULL)`

const INSERT = `
  WITH given AS (
    SELECT * FROM unnest($1::uuid[], $2::uuid[], $3::text[], $4::text[], $5::text[], $6::text[], $7::timestamptz[],
      $8::text[]) AS u(id, delivery, iss, jti, contract, sub, at, token)
  ), kept AS (
    INSERT INTO exchange (id, iss, jti, contract, sub, token, accepted_at)
    SELECT id, iss, jti, contract, sub, token, at FROM given
  )
  INSERT INTO delivery (id, exchange, recipient, state, accepted_at)
  SELECT delivery, id, 'state-grid-east', 'accepted', at FROM given`

interface Claims {
  readonly iss: string
  readonly jti: string
  readonly contract: string
  readonly sub: string
  readonly data: JsonObject
}

interface Row {
  readonly id: string
  readonly claims: Claims
  readonly token: string
  readonly at: string
  readonly receipt: string
  readonly response: ServerResponse
}

interface Keys {
  readonly sender: KeyObject
  readonly own: KeyObject
  readonly header: string
}

answerRequests({
  async start({ databaseUrl, senderJwk }: { databaseUrl: string; senderJwk: JsonObject }): Promise<object> {
    const schema = JSON.parse(readFileSync(path.join(ROOT, 'schemas/approval-result/1.1.0.json'), 'utf8')) as object
    const accepts = createAjv({ allErrors: false }).compile(schema)
    const { publicKey, privateKey } = generateKeyPairSync('ec', { namedCurve: 'P-256' })
    const kid = 'floor'
    const sender = createPublicKey({ key: senderJwk, format: 'jwk' })
    const keys: Keys = { sender, own: privateKey, header: encode({ alg: 'ES256', kid, typ: 'receipt+jwt' }) }
    const submit = await openLanes(databaseUrl, TABLES, insert)
    const server = createServer((request, response) => {
      const chunks: Buffer[] = []
      request.on('data', (chunk: Buffer) => chunks.push(chunk))
      request.on('end', () => {
        const row = judge(Buffer.concat(chunks).toString('latin1'), keys, accepts, response)
        if (row === undefined) response.writeHead(400).end()
        else submit(row)
      })
    })
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
    const url = `http://127.0.0.1:${(server.address() as AddressInfo).port}/v1/exchanges`
    return { urls: [url], jwks: { keys: [{ ...publicKey.export({ format: 'jwk' }), kid, alg: 'ES256' }] }, bare: true }
  },
})

function judge(token: string, keys: Keys, accepts: ValidateFunction, response: ServerResponse): Row | undefined {
  const [header = '', payload = '', signature = ''] = token.split('.')
  const { alg } = decode(header) as { alg: string }
  const claims = decode(payload) as Claims
  const signed = Buffer.from(`${header}.${payload}`, 'latin1')
  const key = { key: keys.sender, dsaEncoding: 'ieee-p1363' } as const
  if (alg !== 'ES256' || !verify('sha256', signed, key, Buffer.from(signature, 'base64url'))) return undefined
  if (!accepts(claims.data)) return undefined
  const nowMs = Date.now()
  const id = uuidv7(nowMs)
  const acceptedAt = Math.floor(nowMs / 1000)
  const of = { iss: claims.iss, jti: claims.jti, contract: claims.contract }
  const body = { iss: 'dianqiao', aud: claims.iss, iat: acceptedAt, jti: randomUUID(), exchange: id, of, acceptedAt }
  const input = `${keys.header}.${encode(body)}`
  const seal = sign('sha256', Buffer.from(input, 'latin1'), { key: keys.own, dsaEncoding: 'ieee-p1363' })
  const receipt = `${input}.${seal.toString('base64url')}`
  return { id, claims, token, at: new Date(nowMs).toISOString(), receipt, response }
}

const plainArray = (values: readonly string[]): string => `{${values.join(',')}}`

async function insert(client: pg.Client, rows: readonly Row[]): Promise<void> {
  const values = [
    plainArray(rows.map(({ id }) => id)),
    plainArray(rows.map(({ at }) => uuidv7(Date.parse(at)))),
    plainArray(rows.map(({ claims }) => claims.iss)),
    plainArray(rows.map(({ claims }) => claims.jti)),
    plainArray(rows.map(({ claims }) => claims.contract)),
    plainArray(rows.map(({ claims }) => claims.sub)),
    plainArray(rows.map(({ at }) => at)),
    plainArray(rows.map(({ token }) => token)),
  ]
  await client.query({ name: 'insert', text: INSERT, values })
  for (const { response, receipt } of rows) response.writeHead(202, { 'content-type': 'application/jwt' }).end(receipt)
}
