import type { Violation } from '#kernel/errors.ts'
import type { JsonObject } from '#kernel/json.ts'
import type { Origin } from '#kernel/origin.ts'
import type { RetentionClass } from '#kernel/retention.ts'
import { type AnswersSource, compileAnswers } from './answers.ts'
import type {
  AliasSource,
  CarriedFiles,
  Contract,
  ContractKind,
  Dataset,
  DocumentPointers,
  Idempotency,
  LoadedRows,
  OpensCase,
  Provider,
  RoutingTarget,
  ServiceLevel,
} from './contract.ts'
import { durationSeconds } from './duration.ts'
import { fileObjectFaults } from './file-object.ts'
import { personalKeyFaults, retentionFaults } from './personal-data.ts'
import { isPersonal } from './privacy.ts'
import { compileRule, type Rule, type RuleSource } from './rules.ts'
import { fileFault } from './schema-files.ts'
import { subschemaAt } from './schema-walk.ts'

/** One side of a rule's examples: data in the file, or a file among the schema's valid examples. */
export interface RuleExample {
  readonly data?: JsonObject
  readonly file?: string
  readonly claims?: JsonObject
  /** The hub's time (date-time); the time of the check where absent. */
  readonly now?: string
}

type RuleEntry = RuleSource & { readonly examples: { readonly pass: RuleExample; readonly fail: RuleExample } }

/** A contract file after its own schema accepted it and filled in the defaults. */
export interface ContractFile {
  readonly name: string
  readonly version: string
  readonly kind: ContractKind
  readonly title: { readonly zh: string; readonly en: string }
  readonly description: { readonly zh: string; readonly en: string }
  readonly owner: string
  readonly providers: readonly Provider[]
  readonly schema: string
  readonly sub: string
  readonly caseNo?: string
  readonly orderKey?: string
  readonly aliases: readonly ({ list: string } | { scheme: string; number: string })[]
  readonly opensCase?: OpensCase
  readonly routing: readonly RoutingTarget[]
  readonly deliverBy: string
  readonly onDead: 'block' | 'continue'
  readonly replaySafe: boolean
  readonly idempotency?: Idempotency
  readonly compatibility: Contract['compatibility']
  readonly sla: readonly ServiceLevel[]
  readonly rules: readonly RuleEntry[]
  readonly maxAge: string
  readonly maxBytes: number
  readonly minOrigin: Origin
  readonly document?: DocumentPointers
  readonly dataset?: Dataset
  readonly answers?: AnswersSource
  readonly rows?: LoadedRows
  readonly retention?: RetentionClass
  readonly files?: CarriedFiles
  readonly legalBasis: Contract['legalBasis']
}

/** A document is kept while it is in force, which only its owner's archive rule ends; a query is kept as an access. */
const RETENTION_OF_KIND = Object.freeze({
  document: 'archive',
  event: 'delivered',
  notice: 'delivered',
  query: 'access',
}) satisfies Record<ContractKind, RetentionClass>

/** Turns an accepted contract file into a contract; faults are what its schema cannot see. */
export function buildContract(
  file: string,
  source: ContractFile,
  schemaDocument: JsonObject,
): { readonly contract: Contract | undefined; readonly faults: readonly Violation[] } {
  const faults: Violation[] = []
  const major = Number(source.version.split('.')[0])
  if (![`contracts/${source.name}.yaml`, `contracts/${source.name}@${major}.yaml`].includes(file)) {
    faults.push(fileFault(file, '/name', 'name', '合同名应与文件名一致', 'the name must be that of the file'))
  }
  for (const [at, pointer] of dataPointers(source)) {
    if (subschemaAt(schemaDocument, pointer) === undefined) {
      const zh = `指针 ${pointer} 在模式 ${source.schema} 中没有对应`
      faults.push(fileFault(file, at, 'pointer', zh, `the schema ${source.schema} has nothing at ${pointer}`))
    }
  }
  faults.push(...personalKeyFaults(file, source, schemaDocument))
  const retention = source.retention ?? RETENTION_OF_KIND[source.kind]
  faults.push(...retentionFaults(file, retention, schemaDocument))
  faults.push(...fileObjectFaults(file, source.files?.pointers ?? [], schemaDocument))
  const rules = compileRules(file, source.rules, faults)
  const answers = source.answers && compileAnswers(file, source.answers, faults)
  const maxAgeSeconds = readDuration(file, '/maxAge', source.maxAge, faults)
  const deliverBySeconds = readDuration(file, '/deliverBy', source.deliverBy, faults)
  if (faults.length > 0) return { contract: undefined, faults }
  const { maxAge: _maxAge, deliverBy: _deliverBy, answers: _answers, aliases, ...rest } = source
  const contract: Contract = {
    ...rest,
    ref: `${source.name}@${major}`,
    major,
    schemaDocument,
    aliases: aliases.map((alias): AliasSource => ('list' in alias ? alias : { ...alias, issuer: 'sender' })),
    rules,
    maxAgeSeconds,
    deliverBySeconds,
    retention,
    personal: isPersonal(schemaDocument),
    ...(answers === undefined ? {} : { answers }),
  }
  return { contract, faults }
}

function compileRules(file: string, entries: readonly RuleEntry[], faults: Violation[]): Rule[] {
  const rules: Rule[] = []
  entries.forEach(({ examples: _examples, ...source }, i) => {
    if (entries.findIndex((other) => other.id === source.id) !== i) {
      faults.push(fileFault(file, `/rules/${i}/id`, 'rule-id', '规则编号重复', 'the rule id is not unique'))
    }
    const rule = compileRule(source)
    if ('judge' in rule) {
      rules.push(rule)
      return
    }
    for (const why of rule) {
      faults.push(fileFault(file, `/rules/${i}`, 'cel', `CEL 无法编译：${why}`, `CEL does not compile: ${why}`))
    }
  })
  return rules
}

function readDuration(file: string, at: string, text: string, faults: Violation[]): number {
  const seconds = durationSeconds(text)
  if (seconds !== undefined && seconds > 0) return seconds
  faults.push(
    fileFault(file, at, 'duration', '应为 ISO 8601 时长，如 P3D、PT10M', 'must be a duration such as P3D or PT10M'),
  )
  return 0
}

/** Every pointer into the data, with its place in the contract file. */
function dataPointers(source: ContractFile): [at: string, pointer: string][] {
  const { opensCase, document, answers, rows } = source
  const found: [string, string | undefined][] = [
    ['/sub', source.sub],
    ['/caseNo', source.caseNo],
    ['/orderKey', source.orderKey],
    ['/idempotency/revision', source.idempotency?.by === 'business-key' ? source.idempotency.revision : undefined],
    ['/opensCase/supplyDivision', opensCase?.supplyDivision],
    ['/answers/subject/code', answers?.subject?.code],
    ['/rows/list', rows?.list],
  ]
  source.aliases.forEach((alias, i) => {
    found.push([`/aliases/${i}`, 'list' in alias ? alias.list : alias.number])
  })
  opensCase?.subjects.forEach((subject, i) => {
    for (const [key, value] of Object.entries(subject)) found.push([`/opensCase/subjects/${i}/${key}`, value])
  })
  answers?.parts.forEach((part, i) => {
    found.push([`/answers/parts/${i}/key`, part.key])
  })
  source.routing.forEach((target, i) => {
    for (const [key, value] of Object.entries(target)) if (key !== 'to') found.push([`/routing/${i}/${key}`, value])
  })
  source.rules.forEach((rule, i) => {
    found.push([`/rules/${i}/pointer`, rule.pointer])
  })
  if (document !== undefined) {
    const { holders, statuses: _statuses, identifies: _identifies, otherKeys, lapses = [], ...pointers } = document
    for (const [key, value] of Object.entries(pointers)) found.push([`/document/${key}`, value])
    otherKeys.forEach((pointer, i) => {
      found.push([`/document/otherKeys/${i}`, pointer])
    })
    lapses.forEach((pointer, i) => {
      found.push([`/document/lapses/${i}`, pointer])
    })
    const item = holders.list === undefined ? '' : `${holders.list}/0`
    found.push(['/document/holders/list', holders.list])
    found.push(['/document/holders/codeType', `${item}${holders.codeType}`])
    found.push(['/document/holders/code', `${item}${holders.code}`])
  }
  return found.filter((entry): entry is [string, string] => typeof entry[1] === 'string')
}
