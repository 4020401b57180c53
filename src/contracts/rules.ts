import type { CelInput } from '@bufbuild/cel'
import type { Violation } from '#kernel/errors.ts'
import { isJsonObject, type Json, type JsonObject } from '#kernel/json.ts'
import { type CelFacts, type CelProgram, celTimestamp, compileCel, toCel } from './cel.ts'
import type { Bilingual, Contract } from './contract.ts'

/** A rule as the contract file has it, without its examples. */
export interface RuleSource {
  readonly id: string
  readonly severity: 'error' | 'warning'
  /** `egress`: judged when a delivery or an answer leaves the hub. */
  readonly stage: 'ingress' | 'egress'
  /** Quoted in place of the id. */
  readonly code?: string
  readonly guard?: string
  readonly expression: string
  readonly pointer: string
  readonly message: Bilingual
}

export type RuleOutcome = 'kept' | 'broken' | 'failed' | 'unguarded'

export interface Rule extends RuleSource {
  /** `unguarded`: the guard is false, so the rule has nothing to say; `failed`: the evaluation ended in an error. */
  readonly judge: (facts: CelFacts) => RuleOutcome
  readonly reads: readonly CelProgram['reads'][]
}

export interface RuleInput {
  readonly data: Json
  readonly claims: JsonObject
  /** The hub's time, milliseconds since the epoch. */
  readonly nowMs: number
}

export interface RuleFindings {
  /** Rules of severity error: any of them refuses the exchange. */
  readonly errors: readonly Violation[]
  readonly warnings: readonly Violation[]
}

/** Compiles guard and expression of a rule; the strings say what does not compile. */
export function compileRule(source: RuleSource): Rule | readonly string[] {
  const expression = compileCel(source.expression)
  const guard = source.guard === undefined ? undefined : compileCel(source.guard)
  if (typeof expression === 'string' || typeof guard === 'string') {
    return [expression, guard].filter((part) => typeof part === 'string')
  }
  return {
    ...source,
    reads: guard === undefined ? [expression.reads] : [guard.reads, expression.reads],
    judge(facts) {
      const applies = guard === undefined ? true : guard.evaluate(facts)
      if (applies === undefined) return 'failed'
      if (!applies) return 'unguarded'
      const holds = expression.evaluate(facts)
      return holds === undefined ? 'failed' : holds ? 'kept' : 'broken'
    },
  }
}

/** Judges data against the contract's rules (CEL) at acceptance. A rule that cannot be evaluated counts as broken. */
export function checkRules(contract: Pick<Contract, 'rules'>, input: RuleInput): RuleFindings {
  const found = judgeRules(
    contract.rules.filter(({ stage }) => stage === 'ingress'),
    input,
  )
  const of = (severity: Rule['severity']): readonly Violation[] =>
    found.filter(({ rule }) => rule.severity === severity).map(({ violation }) => violation)
  return { errors: of('error'), warnings: of('warning') }
}

/** The errors of `checkRules` alone: what a message passes on its way in does not pay for warnings. */
export function brokenRules(
  contract: Pick<Contract, 'rules'>,
  input: RuleInput,
  at: Rule['stage'] = 'ingress',
): readonly Violation[] {
  const rules = contract.rules.filter(({ severity, stage }) => severity === 'error' && stage === at)
  return judgeRules(rules, input).map(({ violation }) => violation)
}

interface Finding {
  readonly rule: Rule
  readonly violation: Violation
}

function judgeRules(rules: readonly Rule[], input: RuleInput): readonly Finding[] {
  if (rules.length === 0) return []
  const facts = factsFor(rules, input)
  const found: Finding[] = []
  for (const rule of rules) {
    const outcome = rule.judge(facts)
    if (outcome === 'kept' || outcome === 'unguarded') continue
    const message = outcome === 'failed' ? FAILED : rule.message
    found.push({ rule, violation: { pointer: rule.pointer, rule: rule.code ?? rule.id, message } })
  }
  return found
}

const FAILED: Bilingual = Object.freeze({
  zh: '该规则无法在这份数据上求值：所需成员缺失或类型、格式不符',
  en: 'The rule cannot be evaluated on this data: a member it needs is missing or has another type or form',
})

/**
 * What the rules judge. For the evaluator only the members that some rule reads are converted, each once, and only when
 * a rule needs the evaluator: most of a payload is never looked at.
 */
export function factsFor(rules: readonly Rule[], { data, claims, nowMs }: RuleInput): CelFacts {
  let converted: { readonly data: Map<string, CelInput>; readonly claims: Map<string, CelInput> } | undefined
  const members = (): { readonly data: Map<string, CelInput>; readonly claims: Map<string, CelInput> } => {
    if (converted !== undefined) return converted
    converted = { data: new Map(), claims: new Map() }
    for (const reads of rules.flatMap((rule) => rule.reads)) {
      convert(data, reads.data, converted.data)
      convert(claims, reads.claims, converted.claims)
    }
    return converted
  }
  return {
    raw: { data, claims, nowMs },
    get data() {
      return members().data
    },
    get claims() {
      return members().claims
    },
    get now() {
      return celTimestamp(nowMs)
    },
  }
}

function convert(source: Json, names: readonly string[] | undefined, into: Map<string, CelInput>): void {
  if (!isJsonObject(source)) return
  for (const name of names ?? Object.keys(source)) {
    if (into.has(name) || !Object.hasOwn(source, name)) continue
    into.set(name, toCel(source[name] as Json))
  }
}
