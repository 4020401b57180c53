import { join } from 'node:path'
import { expect, test } from 'vitest'
import { maskClaims } from '#cli/masked-claims.ts'
import { loadContracts } from '#contracts/load.ts'
import type { JsonObject } from '#kernel/json.ts'

const set = loadContracts(join(import.meta.dirname, '../..'))
const NUMBER = '150102199001010019'

test('a message shows its claims, and its data masked by its contract', () => {
  const claims = {
    iss: 'approval-chifeng',
    contract: 'approval-result@1',
    sub: '1504-2026-0001',
    data: { affairNo: '1504-2026-0001', handler: '张小三' },
  }
  expect(maskClaims(set, claims)).toEqual({ ...claims, data: { affairNo: '1504-2026-0001', handler: '张**' } })
})

test('under a contract that this hub does not know neither business key nor data is shown', () => {
  const claims = { contract: 'somebody-elses@1', sub: NUMBER, data: { idNumber: NUMBER } }
  expect(maskClaims(set, claims)).toEqual({ contract: 'somebody-elses@1', sub: '***', data: '***' })
})

test('an answer shows its documents masked by their own contracts', () => {
  const answer: JsonObject = {
    documents: [
      { document: 'property-certificate@1', status: 'ACTIVE', data: { holders: [{ name: '张小三', code: NUMBER }] } },
      { document: 'unknown@1', data: { code: NUMBER } },
    ],
  }
  expect(maskClaims(set, answer)).toEqual({
    documents: [
      {
        document: 'property-certificate@1',
        status: 'ACTIVE',
        data: { holders: [{ name: '张**', code: '1****************9' }] },
      },
      { document: 'unknown@1', data: '***' },
    ],
  })
})

test('a receipt has nothing to mask', () => {
  const receipt = { iss: 'dianqiao-nmg', exchange: 'e', of: { contract: 'approval-result@1', jti: 'j' } }
  expect(maskClaims(set, receipt)).toEqual(receipt)
})
