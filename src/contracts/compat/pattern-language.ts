import { type CodePoints, type PatternNode, parsePattern } from './pattern-syntax.ts'

/** A nondeterministic automaton; state 0 is the start, `accept` the one that accepts. */
interface Automaton {
  readonly jumps: number[][]
  readonly moves: { readonly set: CodePoints; readonly to: number }[][]
  accept: number
}

const MAX_STATES = 4_000
const MAX_STEPS = 20_000

const automata = new Map<string, Automaton | undefined>()
const MAX_AUTOMATA = 2_000

/** The automaton of a pattern, undefined where it is none that we judge. */
function automatonOf(pattern: string): Automaton | undefined {
  if (automata.has(pattern)) return automata.get(pattern)
  if (automata.size >= MAX_AUTOMATA) automata.clear()
  const node = parsePattern(pattern)
  const built = node === undefined ? undefined : build(node)
  automata.set(pattern, built)
  return built
}

function build(node: PatternNode): Automaton | undefined {
  const automaton: Automaton = { jumps: [[]], moves: [[]], accept: 0 }
  const end = append(automaton, node, 0)
  if (end === undefined) return undefined
  automaton.accept = end
  return automaton
}

function newState(automaton: Automaton): number | undefined {
  if (automaton.jumps.length >= MAX_STATES) return undefined
  automaton.moves.push([])
  return automaton.jumps.push([]) - 1
}

/** Appends a node behind the state `from`; returns the state where it ends, undefined when it grows too large. */
function append(automaton: Automaton, node: PatternNode, from: number): number | undefined {
  switch (node.kind) {
    case 'set': {
      const to = newState(automaton)
      if (to !== undefined) automaton.moves[from]?.push({ set: node.set, to })
      return to
    }
    case 'sequence': {
      let at: number | undefined = from
      for (const part of node.parts) at = at === undefined ? undefined : append(automaton, part, at)
      return at
    }
    case 'choice': {
      const end = newState(automaton)
      if (end === undefined) return undefined
      for (const part of node.parts) {
        const to = append(automaton, part, from)
        if (to === undefined) return undefined
        automaton.jumps[to]?.push(end)
      }
      return end
    }
    case 'repeat':
      return appendRepeat(automaton, node, from)
  }
}

function appendRepeat(
  automaton: Automaton,
  { part, min, max }: Extract<PatternNode, { kind: 'repeat' }>,
  from: number,
): number | undefined {
  let at: number | undefined = from
  for (let i = 0; i < min && at !== undefined; i++) at = append(automaton, part, at)
  if (at === undefined) return undefined
  if (max === Number.POSITIVE_INFINITY) {
    const loop = newState(automaton)
    if (loop === undefined) return undefined
    automaton.jumps[at]?.push(loop)
    const back = append(automaton, part, loop)
    if (back === undefined) return undefined
    automaton.jumps[back]?.push(loop)
    return loop
  }
  const end = newState(automaton)
  if (end === undefined) return undefined
  automaton.jumps[at]?.push(end)
  for (let i = min; i < max; i++) {
    at = append(automaton, part, at)
    if (at === undefined) return undefined
    automaton.jumps[at]?.push(end)
  }
  return end
}

type States = readonly number[]

function closure(automaton: Automaton, states: Iterable<number>): States {
  const seen = new Set(states)
  const pending = [...seen]
  for (let state = pending.pop(); state !== undefined; state = pending.pop()) {
    for (const next of automaton.jumps[state] ?? []) {
      if (seen.has(next)) continue
      seen.add(next)
      pending.push(next)
    }
  }
  return [...seen].sort((a, b) => a - b)
}

const contains = (set: CodePoints, point: number): boolean => set.some(([from, to]) => point >= from && point <= to)

const step = (automaton: Automaton, states: States, point: number): States =>
  closure(
    automaton,
    states.flatMap((state) =>
      (automaton.moves[state] ?? []).filter(({ set }) => contains(set, point)).map(({ to }) => to),
    ),
  )

/** One character for each way in which the sets can tell characters apart, readable ones first. */
function representatives(sets: readonly CodePoints[]): number[] {
  const edges = new Set<number>([0x20, 0x30, 0x41, 0x61, 0x7b])
  for (const [from, to] of sets.flat()) {
    edges.add(from)
    if (to < 0x10ffff) edges.add(to + 1)
  }
  const isReadable = (point: number): boolean => (point >= 0x30 && point <= 0x7a) || (point > 0x4e00 && point < 0x9fff)
  return [...edges]
    .filter((point) => point > 0 && (point < 0xd800 || point > 0xdfff))
    .sort((a, b) => Number(isReadable(b)) - Number(isReadable(a)) || a - b)
}

export interface TextsWanted {
  /** Patterns that each text matches. */
  readonly matching: readonly string[]
  /** A pattern that it does not match. */
  readonly notMatching?: string | undefined
  /** Bounds of its length in code points. */
  readonly minLength: number
  readonly maxLength: number
}

/** The shortest text that is wanted; `none` when there is none, `unknown` when that cannot be told. */
export function findText(
  wanted: TextsWanted,
): { readonly kind: 'text'; readonly text: string } | { readonly kind: 'none' | 'unknown' } {
  const { notMatching, minLength, maxLength } = wanted
  if (minLength > maxLength) return { kind: 'none' }
  const matching = wanted.matching.map(automatonOf)
  const other = notMatching === undefined ? undefined : automatonOf(notMatching)
  if (matching.includes(undefined) || (notMatching !== undefined && other === undefined)) return { kind: 'unknown' }
  const all = matching.filter((one) => one !== undefined)
  const machines = other === undefined ? all : [...all, other]
  const points = representatives(machines.flatMap(({ moves }) => moves.flat().map(({ set }) => set)))
  const isWanted = (states: readonly States[]): boolean =>
    machines.every((machine, i) => (states[i]?.includes(machine.accept) ?? false) === i < all.length)
  const isHopeless = (states: readonly States[]): boolean => all.some((_, i) => states[i]?.length === 0)

  let level: { readonly text: string; readonly states: readonly States[] }[] = [
    { text: '', states: machines.map((machine) => closure(machine, [0])) },
  ]
  const seen = new Set<string>()
  let steps = 0
  for (let length = 0; level.length > 0 && length <= maxLength; length++) {
    const following: typeof level = []
    for (const { text, states } of level) {
      if (length >= minLength && isWanted(states)) return { kind: 'text', text }
      for (const point of points) {
        if (++steps > MAX_STEPS) return { kind: 'unknown' }
        const next = machines.map((machine, i) => step(machine, states[i] ?? [], point))
        if (isHopeless(next)) continue
        const key = `${Math.min(length + 1, minLength)} ${next.join(' ')}`
        if (seen.has(key)) continue
        seen.add(key)
        following.push({ text: text + String.fromCodePoint(point), states: next })
      }
    }
    level = following
  }
  return { kind: 'none' }
}
