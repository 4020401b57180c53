import { join } from 'node:path'
import { expect, test } from 'vitest'
import { loadContracts } from '#contracts/load.ts'
import { extractParts } from '#documents/extract.ts'
import type { KnownDocument } from '#documents/known.ts'

const contracts = loadContracts(join(import.meta.dirname, '../..'))

test('a document that its contract does not let leave is withheld, and the others are answered', () => {
  const { answers } = contracts.get('business-licence-query@1') ?? {}
  if (answers === undefined) throw new RangeError()
  const known = (entityName: string): KnownDocument => ({
    data: { entityName },
    issuer: 'market-regulation-nmg',
    identifier: entityName,
    originalDigest: `sha-256:${'a'.repeat(43)}`,
    status: 'ACTIVE',
    validTo: null,
    replaced: false,
    exchange: undefined,
    isAlone: true,
  })
  const answered = (names: readonly string[]) => {
    const mayLeave = (_ref: string, data: object) => !JSON.stringify(data).includes('held')
    const input = { claims: {}, nowMs: 0, applicants: [], mayLeave }
    return extractParts(input, answers, [names.map(known)], ['entityName'])[0]
  }
  expect(answered(['held'])).toMatchObject({ verdict: { verdict: 'withheld', documents: 0 }, documents: [], known: [] })
  expect(answered(['held', 'free'])).toMatchObject({ verdict: { verdict: 'valid', documents: 1 } })
  expect(answered([])).toMatchObject({ verdict: { verdict: 'not-found' } })
})
