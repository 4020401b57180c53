import type { parse } from '@bufbuild/cel'
import { isJsonObject, type Json } from '#kernel/json.ts'

/**
 * The frequent forms of rules, judged on plain JSON without the CEL evaluator, whose cost is a tenth of an acceptance.
 *
 * This is not a second CEL: it answers only where text, booleans, presence and points in time leave no doubt about what
 * CEL says. An absent member, a number, null, another type or form gives `undefined`, and the evaluator decides.
 */
export interface RawFacts {
  readonly data: Json
  readonly claims: Json
  /** Milliseconds since the epoch. */
  readonly nowMs: number
}

export type QuickJudge = (facts: RawFacts) => boolean | undefined

type Expression = ReturnType<typeof parse>['expr'] | undefined
type Call = Extract<NonNullable<Expression>['exprKind'], { case: 'callExpr' }>['value']
type Comprehension = Extract<NonNullable<Expression>['exprKind'], { case: 'comprehensionExpr' }>['value']

interface Scope extends RawFacts {
  /** What the variable of a comprehension stands for now. */
  item: Json
}

/** JSON, or a point in time: nanoseconds since the epoch, which JSON cannot hold. Undefined: in doubt. */
type Value = Json | bigint | undefined
type Run = (scope: Scope) => Value

export interface QuickFunctions {
  readonly [name: string]: (text: string) => boolean
}

interface Names {
  readonly functions: QuickFunctions
  /** The variable of the comprehension around; one inside another is left to the evaluator. */
  readonly variable: string | undefined
}

/** A judge for the expression, or undefined where it holds a form that is not one of the frequent ones. */
export function compileQuick(expression: Expression, functions: QuickFunctions): QuickJudge | undefined {
  const run = compile(expression, { functions, variable: undefined })
  if (run === undefined) return undefined
  return (facts) => {
    const value = run({ data: facts.data, claims: facts.claims, nowMs: facts.nowMs, item: null })
    return typeof value === 'boolean' ? value : undefined
  }
}

function compile(expression: Expression, names: Names): Run | undefined {
  const kind = expression?.exprKind
  switch (kind?.case) {
    case 'constExpr': {
      const { case: type, value } = kind.value.constantKind
      return type === 'stringValue' || type === 'boolValue' ? () => value : undefined
    }
    case 'identExpr':
      return identifier(kind.value.name, names)
    case 'selectExpr':
      return select(compile(kind.value.operand, names), kind.value.field, kind.value.testOnly)
    case 'callExpr':
      return call(kind.value, names)
    case 'comprehensionExpr':
      return quantifier(kind.value, names)
    default:
      return undefined
  }
}

function identifier(name: string, { variable }: Names): Run | undefined {
  if (name === variable) return ({ item }) => item
  if (name === 'data') return ({ data }) => data
  if (name === 'claims') return ({ claims }) => claims
  if (name === 'now') return ({ nowMs }) => (Number.isSafeInteger(nowMs) ? BigInt(nowMs) * NS_PER_MS : undefined)
  return undefined
}

function select(operand: Run | undefined, field: string, testOnly: boolean): Run | undefined {
  if (operand === undefined) return undefined
  return (scope) => {
    const value = operand(scope)
    if (typeof value === 'bigint' || !isJsonObject(value)) return undefined
    if (!Object.hasOwn(value, field)) return testOnly ? false : undefined
    // The evaluator does not take null for present; it may say so itself.
    return value[field] === null ? undefined : testOnly || value[field]
  }
}

function call({ function: name, target, args: [first, second, ...more] }: Call, names: Names): Run | undefined {
  if (more.length > 0) return undefined
  const left = compile(target ?? first, names)
  if (left === undefined) return undefined
  if (target !== undefined) return name === 'startsWith' && second === undefined ? startsWith(left, first) : undefined
  if (second === undefined) return unary(name, left, names)
  if (name === '@in') return among(left, second)
  if (name === '_+_' || name === '_-_') return shifted(left, second, name === '_+_' ? 1n : -1n)
  const right = compile(second, names)
  return right === undefined ? undefined : binary(name, left, right)
}

function unary(name: string, operand: Run, { functions }: Names): Run | undefined {
  if (name === 'timestamp') return (scope) => instant(operand(scope))
  if (name === '!_') {
    return (scope) => {
      const value = operand(scope)
      return typeof value === 'boolean' ? !value : undefined
    }
  }
  const check = Object.hasOwn(functions, name) ? functions[name] : undefined
  if (check === undefined) return undefined
  return (scope) => {
    const value = operand(scope)
    return typeof value === 'string' ? check(value) : undefined
  }
}

function binary(name: string, left: Run, right: Run): Run | undefined {
  if (name === '_&&_') return both(left, right, false)
  if (name === '_||_') return both(left, right, true)
  const holds = COMPARISONS[name]
  if (holds === undefined) return undefined
  const equality = name === '_==_' || name === '_!=_'
  return (scope) => {
    const a = left(scope)
    const b = right(scope)
    if (typeof a === 'string' && typeof b === 'string') return holds(a < b, a === b)
    if (typeof a === 'bigint' && typeof b === 'bigint') return holds(a < b, a === b)
    return equality && typeof a === 'boolean' && typeof b === 'boolean' ? holds(false, a === b) : undefined
  }
}

const COMPARISONS: Readonly<Record<string, (less: boolean, equal: boolean) => boolean>> = {
  '_==_': (_less, equal) => equal,
  '_!=_': (_less, equal) => !equal,
  '_<_': (less) => less,
  '_<=_': (less, equal) => less || equal,
  '_>_': (less, equal) => !less && !equal,
  '_>=_': (less) => !less,
}

/** `&&` ends at false and `||` at true; the other value of the left side leaves it to the right one. */
function both(left: Run, right: Run, end: boolean): Run {
  return (scope) => {
    const a = left(scope)
    if (typeof a !== 'boolean') return undefined
    if (a === end) return end
    const b = right(scope)
    return typeof b === 'boolean' ? b : undefined
  }
}

function startsWith(target: Run, prefix: Expression): Run | undefined {
  const start = constantText(prefix)
  if (start === undefined) return undefined
  return (scope) => {
    const value = target(scope)
    return typeof value === 'string' ? value.startsWith(start) : undefined
  }
}

function among(operand: Run, list: Expression): Run | undefined {
  if (list?.exprKind.case !== 'listExpr') return undefined
  const texts = list.exprKind.value.elements.map(constantText)
  if (texts.includes(undefined)) return undefined
  return (scope) => {
    const value = operand(scope)
    return typeof value === 'string' ? texts.includes(value) : undefined
  }
}

function constantText(expression: Expression): string | undefined {
  const kind = expression?.exprKind
  if (kind?.case !== 'constExpr' || kind.value.constantKind.case !== 'stringValue') return undefined
  return kind.value.constantKind.value
}

const NS_PER_MS = 1_000_000n
/** CEL keeps a duration in 64 bits. */
const MAX_DURATION_NS = 2n ** 63n - 1n
const DURATION = /^([0-9]{1,9})(ms|s|m|h)$/
const UNIT_NS: Readonly<Record<string, bigint>> = {
  ms: NS_PER_MS,
  s: 1_000n * NS_PER_MS,
  m: 60_000n * NS_PER_MS,
  h: 3_600_000n * NS_PER_MS,
}

/** A point in time and a constant duration such as `duration("10m")`. */
function shifted(operand: Run, by: Expression, sign: bigint): Run | undefined {
  const kind = by?.exprKind
  if (kind?.case !== 'callExpr' || kind.value.function !== 'duration' || kind.value.args.length !== 1) return undefined
  const [, count, unit] = DURATION.exec(constantText(kind.value.args[0]) ?? '') ?? []
  const unitNs = UNIT_NS[unit ?? '']
  if (count === undefined || unitNs === undefined) return undefined
  const shift = sign * BigInt(count) * unitNs
  if (shift > MAX_DURATION_NS || shift < -MAX_DURATION_NS) return undefined
  return (scope) => {
    const value = operand(scope)
    return typeof value === 'bigint' ? inRange(value + shift) : undefined
  }
}

/** The form that protobuf's JSON mapping of a Timestamp allows (RFC 3339). */
const TIMESTAMP =
  /^([0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2})(?:\.([0-9]{1,9}))?(Z|[+-][0-9]{2}:[0-9]{2})$/
const FIRST_NS = BigInt(Date.parse('0001-01-01T00:00:00Z')) * NS_PER_MS
const END_NS = (BigInt(Date.parse('9999-12-31T23:59:59Z')) + 1n) * NS_PER_MS

const inRange = (ns: bigint): bigint | undefined => (ns >= FIRST_NS && ns < END_NS ? ns : undefined)

function instant(value: Value): Value {
  const [, seconds, fraction = '', zone] = (typeof value === 'string' && TIMESTAMP.exec(value)) || []
  const ms = Date.parse(`${seconds}${zone}`)
  return Number.isNaN(ms) ? undefined : inRange(BigInt(ms) * NS_PER_MS + BigInt(fraction.padEnd(9, '0')))
}

/** What the macros `all` and `exists` expand to: a list, a start value, and `result && …` or `result || …`. */
function quantifier(fold: Comprehension, names: Names): Run | undefined {
  const { iterVar, iterVar2, iterRange, accuVar, accuInit, loopStep, result } = fold
  const step = loopStep?.exprKind
  const start = accuInit?.exprKind
  if (names.variable !== undefined || iterVar2 !== '') return undefined
  if (step?.case !== 'callExpr' || step.value.args.length !== 2) return undefined
  if (!isNamed(result, accuVar) || !isNamed(step.value.args[0], accuVar)) return undefined
  if (start?.case !== 'constExpr' || start.value.constantKind.case !== 'boolValue') return undefined
  const all = start.value.constantKind.value
  const list = compile(iterRange, names)
  const judge = compile(step.value.args[1], { ...names, variable: iterVar })
  if (step.value.function !== (all ? '_&&_' : '_||_') || list === undefined || judge === undefined) return undefined
  return (scope) => {
    const items = list(scope)
    if (!Array.isArray(items)) return undefined
    for (const item of items as readonly Json[]) {
      scope.item = item
      const held = judge(scope)
      if (held !== all) return typeof held === 'boolean' ? held : undefined
    }
    return all
  }
}

const isNamed = (expression: Expression, name: string): boolean =>
  expression?.exprKind.case === 'identExpr' && expression.exprKind.value.name === name
