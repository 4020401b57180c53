import { readdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { canonicalJson, sha256Digest } from '#kernel/canonical.ts'
import { HubError, type Violation } from '#kernel/errors.ts'
import type { Json, JsonObject } from '#kernel/json.ts'
import { createAjv } from './ajv.ts'
import { answerFaults } from './answers.ts'
import type { Contract, ContractSet } from './contract.ts'
import { buildContract, type ContractFile } from './contract-file.ts'
import { sensitiveAnswerFaults } from './personal-data.ts'
import { rowFaults } from './rows.ts'
import { FORMAT_SCHEMA, fileFault, readSchemas } from './schema-files.ts'
import { compileSchema, explainErrors } from './validate.ts'
import { parseYaml } from './yaml-file.ts'

export interface LoadedSources {
  readonly contracts: readonly Contract[]
  /** Accepted contract files, by file name, with the rules' examples that a contract no longer carries. */
  readonly files: ReadonlyMap<string, ContractFile>
  readonly schemas: ReadonlyMap<string, JsonObject>
  readonly faults: readonly Violation[]
}

/**
 * Reads `contracts/` and `schemas/` under `rootDir`, judges everything and freezes it. Throws one
 * `contract.set_invalid` whose violations list every fault: pointer `file#/json/pointer`, rule, sentence.
 */
export function loadContracts(rootDir: string): ContractSet {
  const { contracts, files, schemas, faults } = readSources(rootDir)
  if (faults.length > 0) {
    throw new HubError('contract.set_invalid', {
      violations: faults,
      detail: {
        zh: `发现 ${faults.length} 处错误，例如 ${faults[0]?.pointer}：${faults[0]?.message.zh}`,
        en: `${faults.length} faults, such as ${faults[0]?.pointer}: ${faults[0]?.message.en}`,
      },
    })
  }
  const byRef = new Map(contracts.map((contract) => [contract.ref, deepFreeze(contract)]))
  const list = Object.freeze([...byRef.values()])
  for (const schema of schemas.values()) deepFreeze(schema)
  const sources = { contracts: Object.fromEntries(files), schemas: Object.fromEntries(schemas) }
  return Object.freeze({
    get: (ref: string) => byRef.get(ref),
    list: () => list,
    schema: (path: string) => schemas.get(path),
    // The accepted files are JSON by construction: they came through YAML's core schema and their own schema.
    digest: sha256Digest(canonicalJson(sources as unknown as Json)),
  })
}

/** Everything under `rootDir` with the faults instead of an exception; `lintContracts` goes on from here. */
export function readSources(rootDir: string): LoadedSources {
  const { schemas, faults: schemaFaults } = readSchemas(rootDir)
  const faults = [...schemaFaults]
  const files = new Map<string, ContractFile>()
  const contracts = new Map<string, Contract>()
  const accept = contractFormat(schemas, faults)
  for (const file of contractPaths(rootDir)) {
    const source = accept(file, readFileSync(join(rootDir, file), 'utf8'))
    if (source === undefined) continue
    const schema = schemas.get(source.schema)
    if (schema === undefined) {
      faults.push(fileFault(file, '/schema', 'schema', '没有这个模式文件', 'there is no such schema file'))
      continue
    }
    files.set(file, source)
    const built = buildContract(file, source, schema)
    faults.push(...built.faults)
    if (built.contract === undefined) continue
    if (contracts.has(built.contract.ref)) {
      faults.push(
        fileFault(file, '/version', 'duplicate', '同名同主版本的合同重复', 'another file has this name and major'),
      )
    }
    contracts.set(built.contract.ref, built.contract)
  }
  for (const [file, source] of files) {
    const { answers } = source
    if (answers !== undefined) {
      faults.push(...answerFaults(file, answers, contracts), ...sensitiveAnswerFaults(file, answers, contracts))
    }
    faults.push(...rowFaults(file, source, contracts))
  }
  return { contracts: [...contracts.values()], files, schemas, faults }
}

function contractPaths(rootDir: string): string[] {
  return readdirSync(join(rootDir, 'contracts'))
    .filter((name) => name.endsWith('.yaml'))
    .sort()
    .map((name) => `contracts/${name}`)
}

type AcceptFile = (file: string, text: string) => ContractFile | undefined

/** Judges contract files against the contract format, filling in its defaults; faults go to `faults`. */
function contractFormat(schemas: ReadonlyMap<string, JsonObject>, faults: Violation[]): AcceptFile {
  const format = schemas.get(FORMAT_SCHEMA)
  if (format === undefined || faults.some((fault) => fault.pointer.startsWith(`schemas/${FORMAT_SCHEMA}#`))) {
    const file = `schemas/${FORMAT_SCHEMA}`
    faults.push(
      fileFault(file, '', 'schema', '合同格式的模式缺失或有误', 'the schema of contracts is missing or faulty'),
    )
    return () => undefined
  }
  const accepts = compileSchema(createAjv({ allErrors: true, useDefaults: true }), format)
  return (file, text) => {
    const { value, fault: why } = parseYaml(text)
    if (why !== undefined) {
      faults.push(fileFault(file, '', 'yaml', `YAML 有误：${why}`, `the YAML is faulty: ${why}`))
      return undefined
    }
    if (accepts(value)) return value as ContractFile
    const found = explainErrors(format, value as Json, accepts.errors ?? [])
    faults.push(...found.map((fault) => ({ ...fault, pointer: `${file}#${fault.pointer}` })))
    return undefined
  }
}

function deepFreeze<T>(value: T): T {
  if (typeof value !== 'object' || value === null || Object.isFrozen(value)) return value
  for (const member of Object.values(value)) deepFreeze(member)
  return Object.freeze(value)
}
