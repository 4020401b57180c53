import { cpSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { describe, expect, test } from 'vitest'
import { certificateCheckPasses, residentIdFault, usccFault, usccOrganisationPasses } from '#contracts/formats.ts'
import { loadContracts } from '#contracts/load.ts'
import { checkRules } from '#contracts/rules.ts'
import { validateData } from '#contracts/validate.ts'
import { fieldsOf } from '#documents/minimise.ts'
import { HubError } from '#kernel/errors.ts'
import type { JsonObject } from '#kernel/json.ts'
import { readSeeds, type SeedMessage } from '#parties/seed-files.ts'

const ROOT = join(import.meta.dirname, '../..')
const NOW = Date.parse('2026-11-22T00:00:00Z')
const seeds = readSeeds(join(ROOT, 'seeds'))
const contracts = loadContracts(ROOT)
const party = new Map(seeds.parties.map((one) => [one.id, one]))

function contract(ref: string) {
  const found = contracts.get(ref)
  if (found === undefined) throw new RangeError(ref)
  return found
}

const messages: [string, SeedMessage][] = [
  ...seeds.licences.map((row): [string, SeedMessage] => ['business-licence@1', row]),
  ...seeds.documents.map((row): [string, SeedMessage] => [row.contract, row]),
  ...seeds.applications.map((row): [string, SeedMessage] => ['power-application@1', row]),
  ...seeds.results.map((row): [string, SeedMessage] => ['approval-result@1', row]),
]

const isUscc = (ref: string, name: string): boolean => ref === 'business-licence@1' && name === 'certificateNumber'

/** Every text in a payload, with the name of its member. */
function texts(value: unknown, name = ''): [string, string][] {
  if (typeof value === 'string') return [[name, value]]
  if (typeof value !== 'object' || value === null) return []
  return Object.entries(value).flatMap(([key, member]) => texts(member, key))
}

describe('messages', () => {
  test.each(messages)('%s: every row keeps its schema and rules, without a warning', (ref, { sender, data }) => {
    expect(validateData(contract(ref), data)).toEqual([])
    expect(checkRules(contract(ref), { data, claims: {}, nowMs: NOW })).toEqual({ errors: [], warnings: [] })
    const roles = party.get(sender)?.roles ?? []
    expect(contract(ref).providers.some((one) => 'role' in one && roles.includes(one.role))).toBe(true)
  })

  test.each(messages)('%s: every check digit is right', (ref, { data }) => {
    for (const [name, text] of texts(data)) {
      if (['uscc', 'issuerUscc', 'issuingAuthorityCode'].includes(name) || isUscc(ref, name)) {
        expect([text, usccFault(text), usccOrganisationPasses(text)]).toEqual([text, undefined, true])
      }
      if (['identifier', 'certificateIdentifier'].includes(name) && data.kind !== 'LEGACY_HOUSE') {
        expect([text, certificateCheckPasses(text)]).toEqual([text, true])
      }
      if (name === 'itemCode') expect(usccFault(text.slice(0, 18))).toBeUndefined()
    }
    const applicant = data.applicant as JsonObject | undefined
    const number = String(applicant?.idNumber ?? '')
    if (applicant !== undefined)
      expect(applicant.idTypeCode === '111' ? residentIdFault(number, NOW) : usccFault(number)).toBeUndefined()
  })

  test('every result finds its application by an alias of the party it is sent for', () => {
    for (const { sender, obo, data } of seeds.results) {
      const known = seeds.applications.filter((one) =>
        (one.data.aliases as JsonObject[]).some(
          (alias) => alias.scheme === 'affair-no' && alias.number === data.affairNo && alias.issuer === (obo ?? sender),
        ),
      )
      expect(known).toHaveLength(1)
    }
  })

  test('who sends for another has the mandate', () => {
    for (const [ref, { sender, obo }] of messages.filter(([, one]) => one.obo !== undefined)) {
      expect(
        seeds.mandates.some((one) => one.agent === sender && one.principal === obo && one.contracts.includes(ref)),
      ).toBe(true)
    }
  })

  test('licences differ in what consumers must notice: one withdrawn, one past its last day, one individual business', () => {
    const rows = seeds.licences.map((one) => one.data)
    expect(rows.filter((row) => row.status === '07')).toHaveLength(1)
    expect(rows.filter((row) => typeof row.validTo === 'string' && row.validTo < '2026-11-22')).toHaveLength(1)
    expect(rows.filter((row) => row.entityType === '个体工商户' && row.registeredCapital === undefined)).toHaveLength(1)
    expect(new Set(rows.map((row) => row.certificateIdentifier)).size).toBe(rows.length)
  })

  test('documents differ in what consumers must notice: co-owners, an old certificate, a mortgage beside an advance notice', () => {
    const rows = seeds.documents.map((one) => one.data)
    expect(rows.filter((row) => row.coOwnership === 'JOINT')).toHaveLength(1)
    expect(rows.filter((row) => row.kind === 'LEGACY_HOUSE')).toHaveLength(1)
    expect(rows.flatMap((row) => row.proofKind ?? []).toSorted()).toEqual(['ADVANCE_NOTICE', 'MORTGAGE'])
    expect(new Set(rows.map((row) => row.certificateIdentifier)).size).toBe(rows.length)
  })

  test('every organisation that applies has a licence to fetch', () => {
    const licensed = new Set(seeds.licences.map((one) => one.data.certificateNumber))
    const applicants = seeds.applications.map((one) => one.data.applicant as JsonObject)
    const organisations = applicants.filter((one) => one.idTypeCode === '001')
    expect(organisations.length).toBeGreaterThan(2)
    for (const { idNumber } of organisations) expect(licensed.has(idNumber ?? null)).toBe(true)
  })
})

describe('divisions and parties', () => {
  test('there are 12 leagues and cities and 103 counties and banners, in the numbers of GB/T 2260', () => {
    const leagues = seeds.divisions.filter((row) => row.parent === undefined)
    const size = (code: string) => seeds.divisions.filter((row) => row.parent === code).length
    expect(Object.fromEntries(leagues.map((row) => [row.zh, size(row.code)]))).toEqual({
      ...{ 呼和浩特市: 9, 包头市: 9, 乌海市: 3, 赤峰市: 12, 通辽市: 8, 鄂尔多斯市: 9 },
      ...{ 呼伦贝尔市: 14, 巴彦淖尔市: 7, 乌兰察布市: 11, 兴安盟: 6, 锡林郭勒盟: 12, 阿拉善盟: 3 },
    })
    expect(seeds.divisions).toHaveLength(115)
    expect(new Set(seeds.divisions.map((row) => row.zh)).size).toBe(115)
  })

  test('a county lies under the league whose four digits it has', () => {
    for (const { code, parent } of seeds.divisions) {
      expect(code.endsWith('00') ? parent : `${code.slice(0, 4)}00`).toBe(parent)
    }
  })

  test('four leagues belong to State Grid East and the other eight to Inner Mongolia Power', () => {
    const served = (utility: string) =>
      seeds.utilityAreas.areas.filter((area) => area.utility === utility).map((area) => area.prefix)
    expect(served('state-grid-east')).toEqual(['1504', '1505', '1507', '1522'])
    expect(served('inner-mongolia-power')).toHaveLength(8)
    for (const { code } of seeds.divisions) {
      expect(seeds.utilityAreas.areas.filter((area) => code.startsWith(area.prefix))).toHaveLength(1)
    }
    for (const id of ['state-grid-east', 'inner-mongolia-power']) {
      expect(party.get(id)?.divisions.map((code) => code.slice(0, 4))).toEqual(served(id))
      expect(party.get(id)).toMatchObject({ roles: ['utility'], channel: 'bus' })
    }
  })

  test('every league has exactly one approval platform of its own, Ningcheng too, and the region has one', () => {
    const platforms = seeds.parties.filter((one) => one.roles.includes('approval-platform'))
    const wanted = [
      '150000',
      '150429',
      ...seeds.divisions.filter((row) => row.parent === undefined).map((row) => row.code),
    ]
    expect(platforms.flatMap((one) => one.divisions).sort()).toEqual(wanted.sort())
  })

  test('grants name fields that the parts of their query give, purposes and bases that the contract allows', () => {
    const asked = contracts.list().flatMap(({ ref, kind, providers }) => {
      const isForUtilities = providers.some((one) => 'role' in one && one.role === 'utility')
      return kind === 'query' && isForUtilities ? [ref] : []
    })
    for (const utility of ['inner-mongolia-power', 'state-grid-east']) {
      const granted = seeds.grants.filter((grant) => grant.party === utility).map((grant) => grant.contract)
      expect(granted.toSorted()).toEqual(asked.toSorted())
    }
    for (const grant of seeds.grants) {
      const { answers } = contract(grant.contract)
      const parts = answers?.parts ?? []
      const given = parts.flatMap((part) => fieldsOf(part, parts, grant.fields))
      expect(given).toHaveLength(grant.fields.length)
      expect(grant.fields.filter((field) => /businessScope|holders|remarks/.test(field))).toEqual([])
      expect(answers?.purposes).toContain(grant.purpose)
      for (const basis of grant.legalBases) expect(answers?.legalBases).toContain(basis)
    }
  })

  test('every contract that a mandate names exists, and every provider role has a party', () => {
    for (const ref of seeds.mandates.flatMap((one) => one.contracts)) expect(contracts.get(ref)).toBeDefined()
    const roles = new Set(seeds.parties.flatMap((one) => one.roles))
    for (const { providers } of contracts.list()) {
      for (const provider of providers)
        expect('role' in provider ? roles.has(provider.role) : party.has(provider.party)).toBe(true)
    }
    expect(contracts.list().every((one) => party.has(one.owner))).toBe(true)
  })
})

describe('readSeeds', () => {
  function faultsAfter(change: (dir: string) => void): string[] {
    const dir = mkdtempSync(join(tmpdir(), 'seeds-'))
    try {
      cpSync(join(ROOT, 'seeds'), dir, { recursive: true })
      change(dir)
      readSeeds(dir)
      return []
    } catch (error) {
      if (!(error instanceof HubError) || error.code !== 'seed.invalid') throw error
      return error.violations.map((fault) => fault.pointer)
    } finally {
      rmSync(dir, { recursive: true })
    }
  }
  const edit = (dir: string, file: string, from: string, to: string) => {
    const text = readFileSync(join(dir, file), 'utf8')
    if (!text.includes(from)) throw new RangeError(`${file} has no ${from}`)
    writeFileSync(join(dir, file), text.replace(from, to))
  }

  test('one error lists the faults of all files', () => {
    const found = faultsAfter((dir) => {
      edit(dir, 'divisions.yaml', "code: '150102'", 'code: 150102')
      edit(dir, 'parties.yaml', 'uscc: 1115010001150T0187', 'uscc: 1115010001150T0188')
      edit(dir, 'utility-areas.yaml', 'overrides: []', 'overrides: []\nextra: 1')
      rmSync(join(dir, 'results.yaml'))
    })
    expect(found).toEqual([
      'divisions.yaml#/divisions/1/code',
      'utility-areas.yaml#',
      'parties.yaml#/parties/2/uscc',
      'results.yaml#',
    ])
  })

  test('a name that no row defines is found where it stands', () => {
    const found = faultsAfter((dir) => {
      edit(dir, 'parties.yaml', 'principal: platform-ningcheng', 'principal: platform-nowhere')
      edit(dir, 'utility-areas.yaml', 'utility: state-grid-east', 'utility: platform-chifeng')
      edit(dir, 'results.yaml', 'sender: platform-hohhot', 'sender: platform-moon')
    })
    expect(found).toEqual([
      'utility-areas.yaml#/areas/3/utility',
      'parties.yaml#/mandates/0/principal',
      'results.yaml#/results/2/sender',
    ])
  })
})
