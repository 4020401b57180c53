import { existsSync, readdirSync } from 'node:fs'
import { join } from 'node:path'
import type { Violation } from '#kernel/errors.ts'
import { atPointer, isJsonObject, type Json, type JsonObject } from '#kernel/json.ts'
import type { Contract } from './contract.ts'
import type { ContractFile, RuleExample } from './contract-file.ts'
import { lintBounds } from './lint-bounds.ts'
import { lintPrivacy } from './lint-privacy.ts'
import { readSources } from './load.ts'
import { releasedFaults } from './released.ts'
import { checkRules, factsFor, type RuleOutcome } from './rules.ts'
import { fileFault, readJson } from './schema-files.ts'
import { compileFault, validateAgainst } from './validate.ts'

const MIN_VALID = 2
const MIN_INVALID = 4

/**
 * Everything that is wrong with `contracts/` and `schemas/` under `rootDir`: what `loadContracts` refuses, and what
 * it does not spend the time on at start: compilation, bounds, titles, examples of schemas and of rules.
 */
export function lintContracts(rootDir: string, nowMs: number): readonly Violation[] {
  const { contracts, files, schemas, faults } = readSources(rootDir)
  const found = [...faults, ...releasedFaults(rootDir, schemas)]
  for (const [path, schema] of schemas) {
    const file = `schemas/${path}`
    for (const fault of [...lintBounds(schema), ...lintPrivacy(schema)])
      found.push({ ...fault, pointer: `${file}#${fault.pointer}` })
    const refused = compileFault(schema)
    if (refused !== undefined)
      found.push(fileFault(file, '', 'compile', `无法编译：${refused}`, `does not compile: ${refused}`))
    else if (isNewest(path, schemas)) found.push(...lintExamples(rootDir, path, schema))
  }
  for (const [file, source] of files) {
    const contract = contracts.find(({ name, version }) => name === source.name && version === source.version)
    if (contract !== undefined) found.push(...lintContract(rootDir, file, source, contract, nowMs))
  }
  return found
}

/** Examples belong to the newest version of a schema: an older one need not know what was added since. */
function isNewest(path: string, schemas: ReadonlyMap<string, JsonObject>): boolean {
  const [name] = path.split('/')
  const newer = new Intl.Collator('en', { numeric: true }).compare
  return [...schemas.keys()].every((other) => other.split('/')[0] !== name || newer(other, path) <= 0)
}

/** ≥ 2 valid examples; ≥ 4 invalid ones named `<rule>.<what>.json`, each breaking that rule and no other. */
function lintExamples(rootDir: string, path: string, schema: JsonObject): Violation[] {
  const folder = `schemas/${path.split('/')[0]}/examples`
  const faults: Violation[] = []
  for (const { file, data } of examples(rootDir, `${folder}/valid`, MIN_VALID, faults)) {
    for (const fault of validateAgainst(schema, data)) faults.push({ ...fault, pointer: `${file}#${fault.pointer}` })
  }
  for (const { file, data } of examples(rootDir, `${folder}/invalid`, MIN_INVALID, faults)) {
    const rule = file.slice(file.lastIndexOf('/') + 1).split('.')[0]
    const broken = validateAgainst(schema, data).map((fault) => fault.rule)
    if (broken.length > 0 && broken.every((found) => found === rule)) continue
    const got = broken.join(', ') || '–'
    faults.push(
      fileFault(
        file,
        '',
        'example',
        `应只违反 ${rule}，实际：${got}`,
        `must break ${rule} and nothing else, breaks: ${got}`,
      ),
    )
  }
  return faults
}

function examples(rootDir: string, folder: string, least: number, faults: Violation[]): { file: string; data: Json }[] {
  const names = existsSync(join(rootDir, folder)) ? readdirSync(join(rootDir, folder)).sort() : []
  if (names.length < least) {
    faults.push(fileFault(folder, '', 'examples', `至少需要 ${least} 个示例`, `needs at least ${least} examples`))
  }
  return names.flatMap((name) => {
    const file = `${folder}/${name}`
    const data = readJson(join(rootDir, file))
    if (data !== undefined) return [{ file, data }]
    faults.push(fileFault(file, '', 'json', '不是合法的 JSON', 'is not valid JSON'))
    return []
  })
}

/** The rules' examples do what they promise, and the schema's valid examples break no rule of severity error. */
function lintContract(
  rootDir: string,
  file: string,
  source: ContractFile,
  contract: Contract,
  nowMs: number,
): Violation[] {
  const faults: Violation[] = []
  const folder = `schemas/${source.schema.split('/')[0]}/examples/valid`
  source.rules.forEach((entry, i) => {
    const rule = contract.rules[i]
    if (rule === undefined) return
    const judge = (example: RuleExample): RuleOutcome | undefined => {
      const data = example.file === undefined ? example.data : readJson(join(rootDir, folder, example.file))
      if (!isJsonObject(data)) return undefined
      const at = example.now === undefined ? nowMs : Date.parse(example.now)
      return rule.judge(factsFor([rule], { data, claims: example.claims ?? {}, nowMs: at }))
    }
    const expect = (side: 'pass' | 'fail', wanted: RuleOutcome): void => {
      const got = judge(entry.examples[side]) ?? 'unreadable'
      if (got === wanted) return
      const zh = `规则 ${entry.id} 的示例结果应为 ${wanted}，实为 ${got}`
      const en = `the example of rule ${entry.id} must be ${wanted} and is ${got}`
      faults.push(fileFault(file, `/rules/${i}/examples/${side}`, 'rule-example', zh, en))
    }
    expect('pass', 'kept')
    expect('fail', 'broken')
  })
  for (const example of examples(rootDir, folder, 0, faults)) {
    const claims = { sub: atPointer(example.data, source.sub) ?? null }
    const { errors } = checkRules(contract, { data: example.data, claims, nowMs })
    faults.push(...errors.map((fault) => ({ ...fault, pointer: `${example.file}#${fault.pointer}` })))
  }
  return faults
}
