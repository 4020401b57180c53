import { createHash } from 'node:crypto'
import { type Kysely, sql } from 'kysely'
import { expect } from 'vitest'
import type { JsonObject } from '#kernel/json.ts'
import { type Answer, at } from '../support/hub.ts'

/** The problem of an answer, after checking what every problem promises (RFC 9457). */
export function problem(answer: Answer): JsonObject {
  expect(answer.headers.get('content-type')).toBe('application/problem+json')
  const { type, title, status, detail, instance, code, violations } = answer.json
  expect(status).toBe(answer.status)
  expect(type).toBe(`urn:dianqiao:problem:${String(code)}`)
  expect(title).toMatch(/[\u4e00-\u9fff].* \/ .*[A-Za-z]/u)
  expect(detail).toMatch(/[\u4e00-\u9fff]/u)
  expect(detail).toMatch(/[A-Za-z]{3}/)
  expect(instance).toMatch(/^urn:uuid:[0-9a-f-]{36}$/)
  for (const violation of violations as JsonObject[]) {
    expect(violation['pointer']).toMatch(/^(\/.*)?$/)
    expect(violation['rule']).toMatch(/./)
    expect(at(violation, 'message', 'zh')).toMatch(/[\u4e00-\u9fff]/u)
    expect(at(violation, 'message', 'en')).toMatch(/[A-Za-z]{3}/)
  }
  return answer.json
}

export const digestOf = (token: string): string => `sha-256:${createHash('sha256').update(token).digest('base64url')}`

/** What the hub recorded of refusals of this token. */
export async function recordedRefusals(
  db: Kysely<unknown>,
  token: string,
): Promise<readonly { iss: string; code: string }[]> {
  const { rows } = await sql<{ iss: string; code: string }>`
    SELECT iss, code FROM refusal WHERE token_digest = ${digestOf(token)}`.execute(db)
  return rows
}
