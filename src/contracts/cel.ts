import { type CelInput, CelScalar, celEnv, celError, celFunc, isCelError, parse, plan } from '@bufbuild/cel'
import { strings } from '@bufbuild/cel/ext'
import type { Json, JsonObject } from '#kernel/json.ts'
import { compileQuick, type RawFacts } from './cel-quick.ts'
import { certificateCheckPasses, itemCodePasses, usccOrganisationPasses } from './formats.ts'
import { addMonths } from './months.ts'

type Expression = ReturnType<typeof parse>['expr']

/** What an expression may name: the data, the claims, and the hub's time as a CEL timestamp. */
export interface CelFacts {
  /** The same as JSON. */
  readonly raw: RawFacts
  readonly data: ReadonlyMap<string, CelInput>
  readonly claims: ReadonlyMap<string, CelInput>
  readonly now: CelInput
}

export interface CelProgram {
  /** Members of `data` and `claims` that it reads; undefined where it takes the whole. */
  readonly reads: { readonly data: readonly string[] | undefined; readonly claims: readonly string[] | undefined }
  /** The boolean result; undefined when the evaluation failed or gave something else. */
  evaluate(facts: CelFacts): boolean | undefined
}

const TEXT_CHECKS = { certificateCheckPasses, itemCodePasses, usccOrganisationPasses }

const createEnvironment = () =>
  celEnv({
    variables: { data: CelScalar.DYN, claims: CelScalar.DYN, now: CelScalar.DYN },
    funcs: [
      ...strings,
      ...Object.entries(TEXT_CHECKS).map(([name, check]) => celFunc(name, [CelScalar.STRING], CelScalar.BOOL, check)),
      // CEL's own durations know no months.
      celFunc('addMonths', [CelScalar.STRING, CelScalar.INT], CelScalar.STRING, (day, months) => {
        const found = addMonths(day, Number(months))
        if (found === undefined) throw celError('addMonths: not a day')
        return found
      }),
    ],
  })

let environment: ReturnType<typeof createEnvironment> | undefined

/** Functions that the planner knows by itself, so that the environment does not list them. */
const OPERATORS = new Set(['_?_:_', '_||_', '_&&_', '@not_strictly_false', '_[_]'])

/** By source. A program holds no state, and a set that is read again or linted brings the same expressions. */
const compiled = new Map<string, CelProgram | string>()
const MAX_COMPILED = 5_000

/** Compiles one CEL expression; a string says in English why it does not compile. */
export function compileCel(source: string): CelProgram | string {
  const known = compiled.get(source)
  if (known !== undefined) return known
  if (compiled.size >= MAX_COMPILED) compiled.clear()
  const program = compile(source)
  compiled.set(source, program)
  return program
}

function compile(source: string): CelProgram | string {
  environment ??= createEnvironment()
  const funcs = environment.funcs
  try {
    const { expr } = parse(source)
    const use: Use = { data: new Set(), claims: new Set(), whole: new Set(), faults: [] }
    inspect(expr, use, new Set(), (name) => OPERATORS.has(name) || funcs.find(name) !== undefined)
    if (use.faults.length > 0) return use.faults.join('; ')
    const run = plan(environment, expr)
    const judgeQuickly = compileQuick(expr, TEXT_CHECKS)
    return {
      reads: {
        data: use.whole.has('data') ? undefined : [...use.data],
        claims: use.whole.has('claims') ? undefined : [...use.claims],
      },
      evaluate(facts) {
        const quick = judgeQuickly?.(facts.raw)
        if (quick !== undefined) return quick
        const result = run({ data: facts.data, claims: facts.claims, now: facts.now })
        return !isCelError(result) && typeof result === 'boolean' ? result : undefined
      },
    }
  } catch (error) {
    return error instanceof Error ? error.message : 'syntax error'
  }
}

/** Type names are values in CEL: `type(data.x) == int`. */
const TYPES = new Set(['int', 'uint', 'double', 'bool', 'string', 'bytes', 'list', 'map', 'null_type', 'type'])

interface Use {
  readonly data: Set<string>
  readonly claims: Set<string>
  readonly whole: Set<string>
  readonly faults: string[]
}

/** Finds names and functions that nothing binds: the evaluator would only notice when a message arrives. */
function inspect(
  expression: Expression | undefined,
  use: Use,
  bound: ReadonlySet<string>,
  known: (name: string) => boolean,
): void {
  if (expression === undefined) return
  const kind = expression.exprKind
  const go = (child: Expression | undefined, scope = bound): void => inspect(child, use, scope, known)
  switch (kind.case) {
    case 'identExpr':
      if (bound.has(kind.value.name) || TYPES.has(kind.value.name)) return
      if (['data', 'claims', 'now'].includes(kind.value.name)) use.whole.add(kind.value.name)
      else use.faults.push(`unknown name ${kind.value.name}`)
      return
    case 'selectExpr':
      if (!noteRead(kind.value.operand, kind.value.field, use, bound)) go(kind.value.operand)
      return
    case 'callExpr':
      if (!known(kind.value.function)) use.faults.push(`unknown function ${kind.value.function}`)
      go(kind.value.target)
      for (const argument of kind.value.args) go(argument)
      return
    case 'listExpr':
      for (const element of kind.value.elements) go(element)
      return
    case 'structExpr':
      for (const entry of kind.value.entries) {
        if (entry.keyKind.case === 'mapKey') go(entry.keyKind.value)
        go(entry.value)
      }
      return
    case 'comprehensionExpr': {
      const { iterVar, iterVar2, accuVar, iterRange, accuInit, loopCondition, loopStep, result } = kind.value
      const inner = new Set([...bound, iterVar, iterVar2, accuVar])
      go(iterRange)
      go(accuInit)
      for (const child of [loopCondition, loopStep, result]) go(child, inner)
    }
  }
}

function noteRead(operand: Expression | undefined, field: string, use: Use, bound: ReadonlySet<string>): boolean {
  const kind = operand?.exprKind
  if (kind?.case !== 'identExpr' || bound.has(kind.value.name)) return false
  const { name } = kind.value
  if (name !== 'data' && name !== 'claims') return false
  use[name].add(field)
  return true
}

/**
 * JSON as CEL sees it: whole numbers become int (bigint), others double, because `n + 1` on a double is an error
 * in CEL.
 */
export function toCel(value: Json): CelInput {
  if (typeof value === 'number') return Number.isInteger(value) ? BigInt(value) : value
  if (typeof value !== 'object' || value === null) return value
  if (Array.isArray(value)) return value.map(toCel)
  const object = value as JsonObject
  const members = new Map<string, CelInput>()
  for (const name of Object.keys(object)) members.set(name, toCel(object[name] as Json))
  return members
}

/** Milliseconds since the epoch as a CEL timestamp. */
export function celTimestamp(ms: number): CelInput {
  const seconds = Math.floor(ms / 1000)
  const timestamp = {
    $typeName: 'google.protobuf.Timestamp' as const,
    seconds: BigInt(seconds),
    nanos: Math.round(ms - seconds * 1000) * 1_000_000,
  }
  return timestamp
}
