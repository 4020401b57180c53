import { join } from 'node:path'
import { PROJECT_ROOT } from '#compose.ts'
import type { JsonObject } from '#kernel/json.ts'
import { readSeeds } from '#parties/seed-files.ts'
import type { Message } from '../support/hub.ts'

/** A consent of a company, or as `data` changes it; it begins and ends far from today. */
export function consent(ref: string, uscc: string, data: JsonObject = {}): Message {
  return {
    contract: 'consent-grant@1',
    sub: ref,
    data: {
      consentRef: ref,
      subject: { idTypeCode: '001', idNumber: uscc },
      givenBy: 'REPRESENTATIVE',
      recipient: 'state-grid-east',
      purpose: 'power-connection',
      documents: [{ document: 'business-licence@1' }],
      validFrom: '2026-01-01',
      validTo: '2099-12-31',
      grantedAt: '2026-01-01T09:00:00+08:00',
      method: 'E_LICENCE_SCAN',
      noticeVersion: '2026-01',
      ...data,
    },
  }
}

export function withdrawal(ref: string): Message {
  const data = { consentRef: ref, withdrawnAt: new Date().toISOString(), method: 'APP' }
  return { contract: 'consent-withdrawal@1', sub: ref, data }
}

/** Every seeded document but the licences, with its sender. */
export const documents = (): { readonly sender: string; readonly message: Message }[] =>
  readSeeds(join(PROJECT_ROOT, 'seeds')).documents.map(({ contract, sender, data }) => ({
    sender,
    message: { contract, sub: String(data['certificateIdentifier']), data },
  }))

const minutesFromNow = (minutes: number): string => new Date(Date.now() + minutes * 60_000).toISOString()

/** An assertion by public security of a seeded resident, a minute ago, for State Grid East. */
export function assertion(id: string, data: JsonObject = {}): Message {
  return {
    contract: 'identity-assertion@1',
    sub: id,
    data: {
      assertionId: id,
      issuer: 'public-security-nmg',
      subjectRef: 'NET-7f3a9c01d5e24b68',
      subjectRefType: 'NET_ID',
      idTypeCode: '111',
      method: 'NET_ID',
      assuranceLevel: 4,
      matchResult: 'MATCHED',
      verifiedAt: minutesFromNow(-1),
      expiresAt: minutesFromNow(60),
      nonce: id,
      bizSerial: '20260601090000001',
      audience: 'state-grid-east',
      purpose: 'power-connection',
      status: '01',
      statusTime: minutesFromNow(-1),
      ...data,
    },
  }
}
