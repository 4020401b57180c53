import { createPublicKey, generateKeyPairSync, hash, type KeyObject, randomUUID, sign, verify } from 'node:crypto'
import { readFileSync } from 'node:fs'
import { createServer, type ServerResponse } from 'node:http'
import type { AddressInfo } from 'node:net'
import path from 'node:path'
import type { ValidateFunction } from 'ajv'
import pg from 'pg'
import { createAjv } from '#contracts/ajv.ts'
import type { JsonObject } from '#kernel/json.ts'
import { answerRequests } from './child.ts'
import { decode, encode, openLanes } from './floor-lanes.ts'
import { ROOT } from './message.ts'

/**
 * The bare composed process for a fetch: node:http, ES256 verify, JSON.parse, ajv, one batched read of the subject's
 * document, the granted members of its data, ES256 sign, one batched insert of the access row, which holds the answer's
 * digest. Nothing else: no claims, no case, no grants, no caps, no replay, nothing sealed. Its table has as many rows as
 * the hub has documents, and the data of those that are asked for.
 */
const TABLES = `
  CREATE SCHEMA floor;
  CREATE TABLE floor.document (
    code text PRIMARY KEY, status text NOT NULL, id uuid NOT NULL, iss text NOT NULL, data text);
  ALTER TABLE floor.document ALTER COLUMN data SET STORAGE EXTERNAL;
  INSERT INTO floor.document SELECT e.jti, d.status, e.id, e.iss FROM document d JOIN exchange e ON e.id = d.exchange
    WHERE e.jti LIKE 'stock-%';
  CREATE TABLE floor.access_record (
    iss text NOT NULL, jti text NOT NULL, contract text NOT NULL, subject text NOT NULL, purpose text NOT NULL,
    operator text NOT NULL, fields text[] NOT NULL, document uuid NOT NULL, token text NOT NULL,
    answer_digest text NOT NULL, answered_at timestamptz NOT NULL, PRIMARY KEY (iss, jti));`

const READ = `
  SELECT q.n::int AS n, d.status, d.id, d.iss, d.data
  FROM unnest($1::text[]) WITH ORDINALITY AS q(code, n) JOIN floor.document d ON d.code = q.code`

/** What is asked for; inserted by itself, since a statement with parameters is one statement. */
const ASKED = `
  INSERT INTO floor.document
  SELECT a.code, 'ACTIVE', gen_random_uuid(), 'market-regulation-nmg', a.data
  FROM unnest($1::text[], $2::text[]) AS a(code, data)`

const RECORD = `
  INSERT INTO floor.access_record
  SELECT iss, jti, contract, subject, purpose, operator, $10::text[], document, token, digest, now()
  FROM unnest($1::text[], $2::text[], $3::text[], $4::text[], $5::text[], $6::text[], $7::uuid[], $8::text[], $9::text[])
    AS u(iss, jti, contract, subject, purpose, operator, document, token, digest)`

interface Claims {
  readonly iss: string
  readonly jti: string
  readonly contract: string
  readonly sub: string
  readonly purpose: string
  readonly operator: string
}

interface Asking {
  readonly claims: Claims
  readonly token: string
  readonly response: ServerResponse
}

interface Found {
  readonly n: number
  readonly status: string
  readonly id: string
  readonly iss: string
  readonly data: string
}

interface Answered extends Asking {
  readonly document: string
  readonly answer: string
}

interface Start {
  readonly databaseUrl: string
  readonly senderJwk: JsonObject
  readonly fields: readonly string[]
  readonly asked: readonly { readonly code: string; readonly data: JsonObject }[]
}

answerRequests({
  async start({ databaseUrl, senderJwk, fields, asked }: Start) {
    const schema = JSON.parse(readFileSync(path.join(ROOT, 'schemas/business-licence-query/1.0.0.json'), 'utf8'))
    const accepts = createAjv({ allErrors: false }).compile(schema as object)
    const { publicKey, privateKey } = generateKeyPairSync('ec', { namedCurve: 'P-256' })
    const kid = 'floor'
    const sender = createPublicKey({ key: senderJwk, format: 'jwk' })
    const header = encode({ alg: 'ES256', kid, typ: 'answer+jwt' })
    const record = await openLanes<Answered>(databaseUrl, TABLES, (client, rows) => recordAll(client, rows, fields))
    await insertAsked(databaseUrl, asked)
    const read = await openLanes<Asking>(databaseUrl, '', async (client, rows) => {
      const codes = rows.map(({ claims }) => claims.sub)
      const found = (await client.query<Found>({ name: 'read', text: READ, values: [codes] })).rows
      for (const row of found) {
        const asking = rows[row.n - 1] as Asking
        record({ ...asking, document: row.id, answer: answerOf(asking.claims, row, fields, header, privateKey) })
      }
    })
    const server = createServer((request, response) => {
      const chunks: Buffer[] = []
      request.on('data', (chunk: Buffer) => chunks.push(chunk))
      request.on('end', () => {
        const token = Buffer.concat(chunks).toString('latin1')
        const claims = judge(token, sender, accepts)
        if (claims === undefined) response.writeHead(400).end()
        else read({ claims, token, response })
      })
    })
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
    const url = `http://127.0.0.1:${(server.address() as AddressInfo).port}/v1/queries`
    return {
      urls: [url],
      jwks: { keys: [{ ...publicKey.export({ format: 'jwk' }), kid, alg: 'ES256' }] },
      bare: true,
      asks: true,
    }
  },
})

async function insertAsked(databaseUrl: string, asked: Start['asked']): Promise<void> {
  const client = new pg.Client({ connectionString: databaseUrl })
  await client.connect()
  await client.query(ASKED, [asked.map(({ code }) => code), asked.map(({ data }) => JSON.stringify(data))])
  await client.query('ANALYZE floor.document')
  await client.end()
}

function judge(token: string, key: KeyObject, accepts: ValidateFunction): Claims | undefined {
  const [header = '', payload = '', signature = ''] = token.split('.')
  const { alg } = decode(header) as { alg: string }
  const claims = decode(payload) as Claims
  const signed = Buffer.from(`${header}.${payload}`, 'latin1')
  const pinned = { key, dsaEncoding: 'ieee-p1363' } as const
  if (alg !== 'ES256' || !verify('sha256', signed, pinned, Buffer.from(signature, 'base64url'))) return undefined
  return accepts({ uscc: claims.sub }) ? claims : undefined
}

function answerOf(asked: Claims, row: Found, fields: readonly string[], header: string, key: KeyObject): string {
  const data = JSON.parse(row.data) as JsonObject
  const now = Math.floor(Date.now() / 1000)
  const granted = Object.fromEntries(fields.flatMap((name) => (name in data ? [[name, data[name]]] : [])))
  const document = { document: 'business-licence@1', data: granted, issuer: row.iss, status: row.status, proof: 'hub' }
  const of = { iss: asked.iss, jti: asked.jti }
  const body = { iss: 'dianqiao', aud: asked.iss, iat: now, exp: now + 600, jti: randomUUID(), of, asOf: now }
  const input = `${header}.${encode({ ...body, documents: [document] })}`
  const seal = sign('sha256', Buffer.from(input, 'latin1'), { key, dsaEncoding: 'ieee-p1363' })
  return `${input}.${seal.toString('base64url')}`
}

const plainArray = (values: readonly string[]): string => `{${values.join(',')}}`

async function recordAll(client: pg.Client, rows: readonly Answered[], fields: readonly string[]): Promise<void> {
  const of = (pick: (row: Answered) => string): string => plainArray(rows.map(pick))
  const values = [
    of(({ claims }) => claims.iss),
    of(({ claims }) => claims.jti),
    of(({ claims }) => claims.contract),
    of(({ claims }) => claims.sub),
    of(({ claims }) => claims.purpose),
    of(({ claims }) => claims.operator),
    of(({ document }) => document),
    of(({ token }) => token),
    of(({ answer }) => `sha-256:${hash('sha256', answer, 'base64url')}`),
    fields,
  ]
  await client.query({ name: 'record', text: RECORD, values })
  for (const { response, answer } of rows) response.writeHead(200, { 'content-type': 'application/jwt' }).end(answer)
}
