import { createHash } from 'node:crypto'
import { join } from 'node:path'
import { expect, test } from 'vitest'
import type { Contract } from '#contracts/contract.ts'
import { loadContracts } from '#contracts/load.ts'
import { businessJti, checkBinding } from '#exchange/rights.ts'
import { HubError } from '#kernel/errors.ts'
import type { ExchangeClaims } from '#trust/claims.ts'

const found = loadContracts(join(import.meta.dirname, '../..')).get('approval-result@1')
if (found === undefined) throw new RangeError()
const contract: Contract = { ...found, idempotency: { by: 'business-key', revision: '/revision' } }

const claims = (jti: string, revision: number | string): ExchangeClaims => ({
  iss: 'approval-chifeng',
  aud: 'dianqiao',
  iat: 0,
  exp: 60,
  jti,
  contract: contract.ref,
  sub: 'A-1',
  data: { affairNo: 'A-1', revision },
})

const refusal = (given: ExchangeClaims): string => {
  try {
    checkBinding(contract, given)
    return ''
  } catch (error) {
    return error instanceof HubError ? `${error.code} ${error.violations[0]?.pointer}` : 'other'
  }
}

test('the jti of a business key is what any language computes from the published formula', () => {
  const text = '["approval-result@1","A-1",2]'
  expect(businessJti('approval-result@1', 'A-1', 2)).toBe(createHash('sha256').update(text).digest('base64url'))
})

test('an exchange must carry the jti of its business key and revision, so that a second push is a replay', () => {
  const jti = businessJti(contract.ref, 'A-1', 2)
  expect(refusal(claims(jti, 2))).toBe('')
  expect(refusal(claims(jti, 3))).toBe('contract.claim_mismatch /jti')
  expect(refusal(claims(jti, '2'))).toBe('contract.claim_mismatch /jti')
  expect(refusal(claims('0199a1b2-c3d4-7e5f', 2))).toBe('contract.claim_mismatch /jti')
})

test('without a business key any jti will do', () => {
  expect(() => checkBinding(found, claims('0199a1b2-c3d4-7e5f', 2))).not.toThrow()
})
