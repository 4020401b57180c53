import { readFile } from 'node:fs/promises'
import path from 'node:path'
import { pathToFileURL } from 'node:url'
import jsonata from 'jsonata'
import { HubError } from '#kernel/errors.ts'
import { isJsonObject, type Json, type JsonObject } from '#kernel/json.ts'
import type { Manifest } from './manifest.ts'
import type { MapExchange, MappingInput } from './sdk.ts'

/** Runs one mapping. Throws `mapping.failed`, which is for ever: the same input fails the same way. */
export type Mapping<I extends object = MappingInput> = (input: I) => Promise<JsonObject>

/** Bounds of one evaluation: milliseconds, depth of recursion, length of a sequence. */
const GUARDRAILS = Object.freeze({ timeout: 1_000, stack: 200, sequence: 10_000 })

/** What a connector's folder maps: each contract, and the look-up where there is one. */
export interface Mappings {
  readonly byContract: ReadonlyMap<string, Mapping>
  readonly confirm: Mapping | undefined
}

/** Compiles every mapping that the manifest names. Throws `connector.invalid` for one that cannot be. */
export async function loadMappings(directory: string, manifest: Manifest): Promise<Mappings> {
  const byContract = new Map<string, Mapping>()
  for (const [contract, entry] of Object.entries(manifest.contracts)) {
    byContract.set(contract, await loadMapping(path.join(directory, entry.mapping)))
  }
  const { confirm } = manifest
  return {
    byContract,
    confirm: confirm === undefined ? undefined : await loadMapping(path.join(directory, confirm.mapping)),
  }
}

const loadMapping = (file: string): Promise<Mapping> =>
  file.endsWith('.ts') ? loadable(file, () => loadModule(file)) : readMapping(file)

/** A JSONata file of a connector's folder. Throws `connector.invalid` for one that cannot be compiled. */
export const readMapping = <I extends object = MappingInput>(file: string): Promise<Mapping<I>> =>
  loadable(file, async () => compile<I>(await readFile(file, 'utf8')))

async function loadable<M>(file: string, load: () => Promise<M>): Promise<M> {
  try {
    return await load()
  } catch (cause) {
    const reason = reasonOf(cause)
    const detail = { zh: `映射 ${file} 无法加载：${reason}`, en: `the mapping ${file} cannot be loaded: ${reason}` }
    throw new HubError('connector.invalid', { detail, cause })
  }
}

/** A JSONata expression with its guardrails on. Its result must be an object. */
export function compile<I extends object = MappingInput>(expression: string): Mapping<I> {
  const compiled = jsonata(expression, GUARDRAILS)
  return async (input) => {
    let result: unknown
    try {
      // Own bindings: without them concurrent evaluations share one frame, with its clock and its depth.
      result = (await compiled.evaluate(input, {})) as unknown
    } catch (cause) {
      throw failed(`JSONata ${codeOf(cause)}`, cause)
    }
    return asObject(result)
  }
}

async function loadModule(file: string): Promise<Mapping> {
  const module: unknown = await import(pathToFileURL(file).href)
  if (typeof module !== 'object' || module === null || !('map' in module) || typeof module.map !== 'function') {
    throw new HubError('connector.invalid', { detail: { zh: '模块未导出 map', en: 'the module exports no map' } })
  }
  const map = module.map as MapExchange
  return async (input) => {
    let result: unknown
    try {
      result = await map(input)
    } catch (cause) {
      throw failed('module', cause)
    }
    return asObject(result)
  }
}

/** JSONata results carry hidden members and may hold functions: what counts is what JSON keeps, and no function. */
function asObject(result: unknown): JsonObject {
  const text = JSON.stringify(result, (_, value: unknown) => {
    if (isJsonataFunction(value)) throw failed('result holds a function')
    return value
  }) as string | undefined
  const value = text === undefined ? undefined : (JSON.parse(text) as Json)
  if (!isJsonObject(value)) throw failed('result is not an object')
  return value
}

const isJsonataFunction = (value: unknown): boolean =>
  typeof value === 'object' && value !== null && ('_jsonata_function' in value || '_jsonata_lambda' in value)

/** JSONata's messages quote values, which may be personal: only its code is kept. */
const codeOf = (cause: unknown): string =>
  typeof cause === 'object' && cause !== null && 'code' in cause ? String(cause.code) : 'error'

const reasonOf = (cause: unknown): string =>
  typeof cause === 'object' && cause !== null && 'message' in cause ? String(cause.message) : codeOf(cause)

const failed = (where: string, cause?: unknown): HubError =>
  new HubError('mapping.failed', { detail: { zh: `映射失败（${where}）`, en: `the mapping failed (${where})` }, cause })
