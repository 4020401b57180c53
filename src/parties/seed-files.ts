import { basename, dirname } from 'node:path'
import { z } from 'zod'
import { divisionCodeFault, usccFault } from '#contracts/formats.ts'
import { readYamlFile, yamlFault } from '#contracts/yaml-file.ts'
import { HubError, type Violation } from '#kernel/errors.ts'
import { PARTY_ID } from '#kernel/ids.ts'
import type { JsonObject } from '#kernel/json.ts'
import { plainName } from './names.ts'

const partyId = z.string().regex(PARTY_ID)
const day = z.iso.date()
const name = z.string().min(1).max(200)
const division = z.string().refine((code) => divisionCodeFault(code) === undefined, 'is not a division code')
const uscc = z.string().refine((code) => usccFault(code) === undefined, 'has a wrong check character')
const label = z.string().regex(/^[a-z][a-z0-9-]{1,63}$/)
const contractRef = z.string().regex(/^[a-z][a-z0-9-]{1,63}@[1-9][0-9]{0,3}$/)

const DIVISIONS = z.strictObject({
  source: name,
  date: day,
  divisions: z.array(z.strictObject({ code: division, zh: name, en: name, parent: division.optional() })),
})

const areaPrefix = z.string().regex(/^[1-9]\d{1,5}$/)
const UTILITY_AREAS = z.strictObject({
  source: name,
  date: day,
  areas: z.array(z.strictObject({ prefix: areaPrefix, utility: partyId })),
  overrides: z.array(
    z.strictObject({
      prefix: areaPrefix,
      utility: partyId,
      validFrom: day,
      validTo: day.optional(),
      reason: z.strictObject({ zh: name, en: name }),
    }),
  ),
})

/** How often a day. */
const cap = z.int().min(1).optional()

/** The widest division of a level, as a code of GB/T 2260 ends: 150000, 150400, 150429. */
const WIDEST = { region: /^\d/, league: /^\d{2}(?!0000)/, county: /^\d{4}(?!00)/ } as const

const PARTY = z
  .strictObject({
    id: partyId,
    name: z.strictObject({ zh: name, en: name }),
    aliases: z.array(name),
    level: z.enum(['region', 'league', 'county']),
    divisions: z.array(division).min(1),
    roles: z.array(label).min(1),
    uscc: uscc.optional(),
    channel: z.enum(['bus', 'inbox']),
    /** Whether it also sends through its topic dx.in.<party>. */
    busDoor: z.boolean().default(false),
  })
  .refine(({ level, divisions }) => divisions.every((code) => WIDEST[level].test(code)), {
    path: ['divisions'],
    message: 'a division is wider than the level of the party',
  })

const PARTIES = z.strictObject({
  parties: z.array(PARTY),
  mandates: z.array(
    z.strictObject({
      agent: partyId,
      principal: partyId,
      contracts: z.array(contractRef).min(1),
      validFrom: day,
      validTo: day.optional(),
    }),
  ),
  grants: z.array(
    z.strictObject({
      party: partyId,
      contract: contractRef,
      purpose: label,
      fields: z.array(name).min(1),
      legalBases: z.array(label).min(1),
      validFrom: day,
      validTo: day.optional(),
      networks: z.array(z.cidrv4().or(z.cidrv6())).min(1).optional(),
      caps: z.strictObject({ party: cap, operator: cap, subject: cap }).optional(),
      agreement: name.optional(),
    }),
  ),
})

const message = z.strictObject({ sender: partyId, obo: partyId.optional(), data: z.record(z.string(), z.json()) })
const messages = z.array(message)
const DOCUMENTS = z.strictObject({ documents: z.array(message.extend({ contract: contractRef })) })
const LICENCES = z.strictObject({ licences: messages })
const APPLICATIONS = z.strictObject({ applications: messages })
const RESULTS = z.strictObject({ results: messages })

type SeedDivision = z.infer<typeof DIVISIONS>['divisions'][number]
type SeedUtilityAreas = Pick<z.infer<typeof UTILITY_AREAS>, 'areas' | 'overrides'>
export type SeedParty = z.infer<typeof PARTY>
type SeedMandate = z.infer<typeof PARTIES>['mandates'][number]
type SeedGrant = z.infer<typeof PARTIES>['grants'][number]

/** One message to be sent: `data` under the contract that the file stands for. */
export interface SeedMessage {
  readonly sender: string
  readonly obo?: string | undefined
  readonly data: JsonObject
}

/** Everything under `seeds/`; days are `YYYY-MM-DD`, inclusive, Asia/Shanghai. */
export interface SeedData {
  readonly divisions: readonly SeedDivision[]
  readonly utilityAreas: SeedUtilityAreas
  readonly parties: readonly SeedParty[]
  readonly mandates: readonly SeedMandate[]
  readonly grants: readonly SeedGrant[]
  readonly licences: readonly SeedMessage[]
  /** Documents under several contracts. */
  readonly documents: readonly (SeedMessage & { readonly contract: string })[]
  readonly applications: readonly SeedMessage[]
  readonly results: readonly SeedMessage[]
}

/** Reads and judges the seed files in `dir`. Throws one `seed.invalid` that lists every fault by file and place. */
export function readSeeds(dir: string): SeedData {
  const faults: Violation[] = []
  const divisions = readYamlFile(dir, 'divisions.yaml', DIVISIONS, faults)
  const areas = readYamlFile(dir, 'utility-areas.yaml', UTILITY_AREAS, faults)
  const register = readYamlFile(dir, 'parties.yaml', PARTIES, faults)
  const licences = readYamlFile(dir, 'licences.yaml', LICENCES, faults)
  const documents = readYamlFile(dir, 'documents.yaml', DOCUMENTS, faults)
  const applications = readYamlFile(dir, 'applications.yaml', APPLICATIONS, faults)
  const results = readYamlFile(dir, 'results.yaml', RESULTS, faults)
  if (divisions && areas && register && licences && documents && applications && results) {
    const seeds: SeedData = {
      divisions: divisions.divisions,
      utilityAreas: { areas: areas.areas, overrides: areas.overrides },
      ...register,
      ...licences,
      ...documents,
      ...applications,
      ...results,
    }
    faults.push(...brokenReferences(seeds))
    if (faults.length === 0) return seeds
  }
  throw new HubError('seed.invalid', {
    violations: faults,
    detail: {
      zh: `种子数据有 ${faults.length} 处错误，例如 ${faults[0]?.pointer}：${faults[0]?.message.zh}`,
      en: `${faults.length} faults in the seeds, such as ${faults[0]?.pointer}: ${faults[0]?.message.en}`,
    },
  })
}

/** A party's YAML file, in the shape of an entry of `seeds/parties.yaml`. Throws `seed.invalid` with every fault. */
export function readPartyFile(file: string): SeedParty {
  const faults: Violation[] = []
  const party = readYamlFile(dirname(file), basename(file), PARTY, faults)
  if (party === undefined) throw new HubError('seed.invalid', { violations: faults })
  return party
}

/** Ids that occur twice, and names of parties, utilities and divisions that no row defines. */
function brokenReferences(seeds: SeedData): Violation[] {
  const faults: Violation[] = []
  const parties = new Set(seeds.parties.map((party) => party.id))
  const utilities = new Set(seeds.parties.filter((party) => party.roles.includes('utility')).map((party) => party.id))
  const codes = new Set(['150000', ...seeds.divisions.map((row) => row.code)])
  const known = (set: ReadonlySet<string>, id: string | undefined, file: string, at: string): void => {
    if (id !== undefined && !set.has(id))
      faults.push(yamlFault(file, at, 'reference', `未定义 ${id}`, `${id} is not defined`))
  }
  if (parties.size !== seeds.parties.length || codes.size !== seeds.divisions.length + 1) {
    faults.push(yamlFault('', '', 'unique', '单位或区划编号重复', 'a party or division occurs twice'))
  }
  const names = seeds.parties.flatMap(({ name, aliases }) => [
    ...new Set([name.zh, name.en, ...aliases].map(plainName)),
  ])
  if (new Set(names).size !== names.length) {
    faults.push(yamlFault('parties.yaml', '/parties', 'unique', '两个单位同名', 'two parties share a name'))
  }
  seeds.divisions.forEach((row, i) => {
    known(codes, row.parent, 'divisions.yaml', `/divisions/${i}/parent`)
  })
  for (const [list, rows] of Object.entries(seeds.utilityAreas)) {
    rows.forEach((row, i) => {
      known(utilities, row.utility, 'utility-areas.yaml', `/${list}/${i}/utility`)
    })
  }
  seeds.parties.forEach((party, i) => {
    for (const code of party.divisions) known(codes, code, 'parties.yaml', `/parties/${i}/divisions`)
  })
  seeds.mandates.forEach((mandate, i) => {
    known(parties, mandate.agent, 'parties.yaml', `/mandates/${i}/agent`)
    known(parties, mandate.principal, 'parties.yaml', `/mandates/${i}/principal`)
  })
  seeds.grants.forEach((grant, i) => {
    known(parties, grant.party, 'parties.yaml', `/grants/${i}/party`)
  })
  for (const list of ['licences', 'documents', 'applications', 'results'] as const) {
    seeds[list].forEach((message, i) => {
      known(parties, message.sender, `${list}.yaml`, `/${list}/${i}/sender`)
      known(parties, message.obo, `${list}.yaml`, `/${list}/${i}/obo`)
    })
  }
  return faults
}
