import { expect, test } from 'vitest'
import { createLog, redacted } from '#cli/log.ts'
import type { LogEntry } from '#compose.ts'
import type { LogLevel } from '#config.ts'
import { HubError } from '#kernel/errors.ts'

function logged(level: LogLevel, ...entries: LogEntry[]): Record<string, unknown>[] {
  const lines: string[] = []
  const log = createLog(level, { write: (line) => lines.push(line) })
  for (const entry of entries) log(entry)
  return lines.map((line) => JSON.parse(line) as Record<string, unknown>)
}

const TRACE = '00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01'

test('an entry is one JSON line with level, message, instance, trace and fields', () => {
  const [line] = logged('debug', {
    level: 'warn',
    message: 'slow',
    instance: 'urn:uuid:1',
    traceparent: TRACE,
    fields: { status: 503, route: '/v1/cases/:number' },
  })
  expect(line).toEqual({
    level: 'warn',
    time: expect.stringMatching(/^\d{4}-\d\d-\d\dT[\d:.]+Z$/),
    pid: process.pid,
    message: 'slow',
    instance: 'urn:uuid:1',
    traceparent: TRACE,
    traceId: '0af7651916cd43dd8448eb211c80319c',
    status: 503,
    route: '/v1/cases/:number',
  })
})

test('what is below the level is not written', () => {
  const entries = (['debug', 'info', 'warn', 'error'] as const).map((level) => ({ level, message: level }))
  expect(logged('warn', ...entries).map(({ message }) => message)).toEqual(['warn', 'error'])
  expect(logged('silent', ...entries)).toEqual([])
})

test('an error is written with the stack of its cause', () => {
  const error = new HubError('hub.store_unavailable', { cause: new Error('socket closed') })
  const [line] = logged('info', { level: 'error', message: 'x', error })
  expect(line?.['error']).toMatch(/^hub\.store_unavailable: .* ← Error: socket closed\n +at /s)
})

test.each([
  ['a token', `bad ${Buffer.from('{"alg":"ES256"}').toString('base64url')}.eyJpc3MiOiJ4In0.c2ln end`],
  ['half a token', 'bad eyJhbGciOiJFUzI1NiJ9.eyJpc3MiOiJ4In0. end'],
  ['a bearer', 'authorization: Bearer abc.def-123 end'],
  ['credentials of a database', 'postgresql://dianqiao:c2ln@db:5432/x end'],
  ['a resident id', 'Key (sub)=(11010519491231002X) exists end'],
  ['a mobile number', 'invalid value 13800138000 end'],
])('%s in the text of an error is not written', (_what, text) => {
  const left = redacted(text)
  expect(left).toContain('[redacted]')
  expect(left).not.toMatch(/c2ln|abc\.def|11010519491231002X|13800138000|eyJ/)
  expect(left).toMatch(/ end$/)
  const [line] = logged('info', { level: 'error', message: text, error: new Error(text) })
  expect(JSON.stringify(line)).not.toMatch(/c2ln|abc\.def|11010519491231002X|13800138000|eyJ/)
})

test.each(['port 5432 at 2026-11-22T10:00:00.000Z', 'exchange 019ab7c2-1111-7000-8000-123456789012', 'SQLSTATE 22P02'])(
  'what an operator needs stays: %s',
  (text) => expect(redacted(text)).toBe(text),
)

test('a field that is named like a secret is not written', () => {
  const [line] = logged('info', { level: 'info', message: 'x', fields: { token: 'abc', receipt: 'def', status: 1 } })
  expect(line).toMatchObject({ token: '[redacted]', receipt: '[redacted]', status: 1 })
})
