import { randomUUID } from 'node:crypto'
import { join } from 'node:path'
import { PROJECT_ROOT } from '#compose.ts'
import type { Json, JsonObject } from '#kernel/json.ts'
import { readSeeds, type SeedMessage } from '#parties/seed-files.ts'
import type { Message } from '../support/hub.ts'

const seeds = readSeeds(join(PROJECT_ROOT, 'seeds'))

function first(list: readonly SeedMessage[]): SeedMessage {
  const [message] = list
  if (message === undefined) throw new Error('the seeds hold no message')
  return message
}

/** A number that no other test uses, in the alphabet of 办件编号. */
export const newNumber = (prefix = 'T'): string => `${prefix}-${randomUUID().slice(0, 18)}`

/** A result for the affair, as a platform sends it. */
export function result(affairNo: string, data: JsonObject = {}): Message {
  const message = first(seeds.results)
  return { contract: 'approval-result@1', sub: affairNo, data: { ...message.data, affairNo, ...data } }
}

export interface Alias {
  readonly scheme: string
  readonly issuer: string
  readonly number: string
}

/** An application under its own number, with further aliases. `applicationNo` is the utility's. */
export function application(
  applicationNo: string,
  options: {
    readonly utility?: string
    readonly division?: string
    readonly aliases?: readonly Alias[]
    readonly applicant?: string
    readonly resident?: { readonly name: string; readonly idNumber: string }
  } = {},
): Message {
  const message = first(seeds.applications)
  const { utility = 'state-grid-east', division = '150402', aliases = [], applicant, resident } = options
  const own = { scheme: 'application-no', issuer: utility, number: applicationNo }
  const { approvalGroup: _group, ...data } = message.data
  const person = data['applicant'] as JsonObject
  return {
    contract: 'power-application@1',
    sub: applicationNo,
    data: {
      ...data,
      applicationNo,
      divisionCode: division,
      aliases: [own, ...aliases.map((alias) => ({ ...alias }))],
      applicant: {
        ...person,
        ...(applicant === undefined ? {} : { idNumber: applicant }),
        ...(resident === undefined ? {} : { ...resident, idTypeCode: '111' }),
      },
    },
  }
}

export const affair = (issuer: string, number: string): Alias => ({ scheme: 'affair-no', issuer, number })

/** A seeded licence by its USCC, with other members. */
export function licence(uscc: string, data: JsonObject = {}): Message {
  const message = seeds.licences.find((one) => one.data['certificateNumber'] === uscc)
  if (message === undefined) throw new Error(`no seeded licence ${uscc}`)
  return { contract: 'business-licence@1', sub: uscc, data: { ...message.data, ...data } }
}

/** A seeded document by its contract and certificate number, with other members; undefined leaves one out. */
export function documentOf(
  contract: string,
  certificateNumber: string,
  change: Readonly<Record<string, Json | undefined>> = {},
): Message {
  const message = seeds.documents.find(
    (one) => one.contract === contract && one.data['certificateNumber'] === certificateNumber,
  )
  if (message === undefined) throw new Error(`no seeded ${contract} ${certificateNumber}`)
  const data = JSON.parse(JSON.stringify({ ...message.data, ...change })) as JsonObject
  return { contract, sub: String(data['certificateIdentifier']), data }
}

/** Who publishes under each document contract. */
export const PUBLISHERS: Readonly<Record<string, string>> = {
  'business-licence@1': 'market-regulation-nmg',
  'identity-card@1': 'public-security-nmg',
  'property-certificate@1': 'natural-resources-nmg',
  'property-registration-proof@1': 'natural-resources-nmg',
}

/** What a query states beside its contract, subject and case. */
export const STATED = {
  purpose: 'power-connection',
  legalBasis: 'duty',
  item: '11150000MB0000000X2000199001000',
  operator: 'staff-0042',
}

export function acknowledgement(delivery: string, outcome: JsonObject = {}): Message {
  const one = { delivery, outcome: 'applied', recipientRef: 'REF-1', at: new Date().toISOString(), ...outcome }
  return { contract: 'delivery-ack@1', sub: delivery, data: { outcomes: [one] } }
}
