/** Inclusive ranges of code points, sorted and apart. */
export type CodePoints = readonly (readonly [from: number, to: number])[]

/** The part of ECMAScript's regular expressions that describes a regular language. */
export type PatternNode =
  | { readonly kind: 'set'; readonly set: CodePoints }
  | { readonly kind: 'sequence'; readonly parts: readonly PatternNode[] }
  | { readonly kind: 'choice'; readonly parts: readonly PatternNode[] }
  | { readonly kind: 'repeat'; readonly part: PatternNode; readonly min: number; readonly max: number }

const LAST = 0x10ffff
const ANY: CodePoints = [[0, LAST]]
const DIGIT: CodePoints = [[0x30, 0x39]]
const WORD: CodePoints = [
  [0x30, 0x39],
  [0x41, 0x5a],
  [0x5f, 0x5f],
  [0x61, 0x7a],
]
const SPACE: CodePoints = [
  [0x09, 0x0d],
  [0x20, 0x20],
  [0xa0, 0xa0],
  [0x1680, 0x1680],
  [0x2000, 0x200a],
  [0x2028, 0x2029],
  [0x202f, 0x202f],
  [0x205f, 0x205f],
  [0x3000, 0x3000],
  [0xfeff, 0xfeff],
]
const LINE_ENDS: CodePoints = [
  [0x0a, 0x0a],
  [0x0d, 0x0d],
  [0x2028, 0x2029],
]
const CLASSES: Readonly<Record<string, CodePoints>> = {
  d: DIGIT,
  w: WORD,
  s: SPACE,
  D: complement(DIGIT),
  W: complement(WORD),
  S: complement(SPACE),
}
const CONTROLS: Readonly<Record<string, number>> = { t: 9, n: 10, v: 11, f: 12, r: 13, '0': 0 }

function complement(set: CodePoints): CodePoints {
  const out: [number, number][] = []
  let next = 0
  for (const [from, to] of set) {
    if (from > next) out.push([next, from - 1])
    next = to + 1
  }
  if (next <= LAST) out.push([next, LAST])
  return out
}

function union(sets: readonly CodePoints[]): CodePoints {
  const out: [number, number][] = []
  for (const [from, to] of sets.flat().toSorted((a, b) => a[0] - b[0])) {
    const last = out.at(-1)
    if (last !== undefined && from <= last[1] + 1) last[1] = Math.max(last[1], to)
    else out.push([from, to])
  }
  return out
}

const anything: PatternNode = { kind: 'repeat', part: { kind: 'set', set: ANY }, min: 0, max: Number.POSITIVE_INFINITY }

/**
 * A JSON Schema pattern (ECMA-262 with the u flag, searched for anywhere in the text) as a language of whole texts;
 * undefined for what is no regular language or is not needed here: look-around, back-references, \p, inner anchors.
 */
export function parsePattern(pattern: string): PatternNode | undefined {
  const begins = pattern.startsWith('^')
  const ends = /(?:^|[^\\])(?:\\\\)*\$$/.test(pattern)
  const body = pattern.slice(begins ? 1 : 0, ends ? -1 : undefined)
  const points = Array.from(body, (character) => character.codePointAt(0) ?? 0)
  const reader = createReader(points)
  const inner = choice(reader)
  if (inner === undefined || !reader.atEnd()) return undefined
  // `^a|b$` anchors each side of the choice once: not worth a rule of its own.
  if ((begins || ends) && reader.hadOuterChoice()) return undefined
  return { kind: 'sequence', parts: [...(begins ? [] : [anything]), inner, ...(ends ? [] : [anything])] }
}

interface Reader {
  peek(): string
  point(): number
  next(): string
  /** The number at the reading position, undefined when there is none. */
  number(): number | undefined
  atEnd(): boolean
  depth: number
  markOuterChoice(): void
  hadOuterChoice(): boolean
}

function createReader(points: readonly number[]): Reader {
  let at = 0
  let outer = false
  const peek = (): string => (at < points.length ? String.fromCodePoint(points[at] ?? 0) : '')
  return {
    peek,
    point: () => points[at] ?? 0,
    next: () => {
      const character = peek()
      at++
      return character
    },
    number() {
      let text = ''
      while (/^\d$/.test(peek()) && text.length < 6) text += this.next()
      return text === '' ? undefined : Number(text)
    },
    atEnd: () => at >= points.length,
    depth: 0,
    markOuterChoice: () => {
      outer = true
    },
    hadOuterChoice: () => outer,
  }
}

function choice(reader: Reader): PatternNode | undefined {
  const parts: PatternNode[] = []
  for (;;) {
    const part = sequence(reader)
    if (part === undefined) return undefined
    parts.push(part)
    if (reader.peek() !== '|') break
    reader.next()
    if (reader.depth === 0) reader.markOuterChoice()
  }
  return parts.length === 1 ? parts[0] : { kind: 'choice', parts }
}

function sequence(reader: Reader): PatternNode | undefined {
  const parts: PatternNode[] = []
  while (!reader.atEnd() && reader.peek() !== '|' && reader.peek() !== ')') {
    const part = atom(reader)
    const repeated = part && quantified(reader, part)
    if (repeated === undefined) return undefined
    parts.push(repeated)
  }
  return { kind: 'sequence', parts }
}

function quantified(reader: Reader, part: PatternNode): PatternNode | undefined {
  const bounds = quantifier(reader)
  if (bounds === undefined) return part
  if (bounds === 'faulty') return undefined
  // Lazy matching changes what is captured, not what is matched.
  if (reader.peek() === '?') reader.next()
  return { kind: 'repeat', part, min: bounds[0], max: bounds[1] }
}

function quantifier(reader: Reader): readonly [number, number] | 'faulty' | undefined {
  switch (reader.peek()) {
    case '*':
      reader.next()
      return [0, Number.POSITIVE_INFINITY]
    case '+':
      reader.next()
      return [1, Number.POSITIVE_INFINITY]
    case '?':
      reader.next()
      return [0, 1]
    case '{': {
      reader.next()
      const min = reader.number()
      const open = reader.peek() === ','
      if (open) reader.next()
      const max = open ? (reader.number() ?? Number.POSITIVE_INFINITY) : min
      return min === undefined || max === undefined || max < min || reader.next() !== '}' ? 'faulty' : [min, max]
    }
    default:
      return undefined
  }
}

function atom(reader: Reader): PatternNode | undefined {
  const point = reader.point()
  const character = reader.next()
  switch (character) {
    case '(':
      return group(reader)
    case '[':
      return set(classOf(reader))
    case '.':
      return set(complement(LINE_ENDS))
    case '\\':
      return set(escaped(reader))
    case '^':
    case '$':
    case '*':
    case '+':
    case '?':
    case '{':
    case '}':
    case ']':
      return undefined
    default:
      return set([[point, point]])
  }
}

const set = (points: CodePoints | undefined): PatternNode | undefined =>
  points === undefined ? undefined : { kind: 'set', set: points }

function group(reader: Reader): PatternNode | undefined {
  if (reader.peek() === '?') {
    reader.next()
    if (reader.next() !== ':') return undefined
  }
  reader.depth++
  const inner = choice(reader)
  reader.depth--
  return reader.next() === ')' ? inner : undefined
}

function classOf(reader: Reader): CodePoints | undefined {
  const negated = reader.peek() === '^'
  if (negated) reader.next()
  const sets: CodePoints[] = []
  while (reader.peek() !== ']') {
    if (reader.atEnd()) return undefined
    const from = classMember(reader)
    if (from === undefined) return undefined
    if (reader.peek() !== '-') {
      sets.push(from)
      continue
    }
    reader.next()
    if (reader.peek() === ']') {
      sets.push(from, [[0x2d, 0x2d]])
      continue
    }
    const to = classMember(reader)
    const low = single(from)
    const high = to && single(to)
    if (low === undefined || high === undefined || high < low) return undefined
    sets.push([[low, high]])
  }
  reader.next()
  const all = union(sets)
  return negated ? complement(all) : all
}

function classMember(reader: Reader): CodePoints | undefined {
  const point = reader.point()
  return reader.next() === '\\' ? escaped(reader) : [[point, point]]
}

function single(points: CodePoints): number | undefined {
  const [only] = points
  return points.length === 1 && only !== undefined && only[0] === only[1] ? only[0] : undefined
}

/** What follows a backslash; undefined for what is no set of characters. */
function escaped(reader: Reader): CodePoints | undefined {
  const point = reader.point()
  const character = reader.next()
  const named = Object.hasOwn(CLASSES, character) ? CLASSES[character] : undefined
  if (named !== undefined) return named
  const control = Object.hasOwn(CONTROLS, character) ? CONTROLS[character] : undefined
  if (control !== undefined) return [[control, control]]
  if (character === 'x') return hex(reader, 2)
  if (character === 'u') return hex(reader, 4)
  return /^[\^$\\.*+?()[\]{}|/-]$/.test(character) ? [[point, point]] : undefined
}

function hex(reader: Reader, digits: number): CodePoints | undefined {
  let text = ''
  const braced = digits === 4 && reader.peek() === '{'
  if (braced) reader.next()
  while (/^[0-9a-fA-F]$/.test(reader.peek()) && text.length < (braced ? 6 : digits)) text += reader.next()
  if (braced ? reader.next() !== '}' || text === '' : text.length !== digits) return undefined
  const point = Number.parseInt(text, 16)
  // A pair of surrogates would be one character: left to whoever writes \u{…}.
  return point > LAST || (point >= 0xd800 && point <= 0xdfff) ? undefined : [[point, point]]
}
