import { highest, itemsOf, lowest, maxItems, rangeOf, type TypeName } from './facts.ts'
import { type Descend, type Frame, type Gap, gap } from './gaps.ts'
import { findText } from './pattern-language.ts'
import { below, keywordOf, numberAt, type Place } from './place.ts'
import { samples, textKeywords } from './samples.ts'

/** What every value of a format matches at least. */
const FORMAT_PATTERNS: Readonly<Record<string, string>> = {
  date: '^[0-9]{4}-[0-9]{2}-[0-9]{2}$',
  uscc: '^[0-9A-HJ-NP-RTUWXY]{18}$',
  'resident-id': '^[0-9]{17}[0-9Xx]$',
  'division-code': '^[1-9][0-9]{5}$',
  'item-code': '^[0-9A-Za-z]{1,36}$',
}

/** Lengths, patterns and formats: shown by the languages of the patterns, a format only by the same format. */
export function stringGaps(open: readonly Place[], wide: Place, frames: readonly Frame[]): Gap[] {
  const found: Gap[] = []
  const matching = [
    ...textKeywords(open, 'pattern'),
    ...textKeywords(open, 'format').flatMap((format) => FORMAT_PATTERNS[format] ?? []),
  ]
  const minLength = highest(open, 'minLength', 0)
  const maxLength = lowest(open, 'maxLength')
  const add = (rule: string, outside: ReturnType<typeof findText>): void => {
    if (outside.kind === 'none') return
    const made = outside.kind === 'text' ? [outside.text] : []
    // A text that only patterns and lengths describe need not have the format: other samples may.
    const suspects = (): string[] => [
      ...made,
      ...samples(open, { type: 'string' }).filter((one) => typeof one === 'string'),
    ]
    found.push(gap(rule, wide, `/${rule}`, frames, suspects))
  }
  const least = numberAt(wide, 'minLength')
  if (least !== undefined && least > minLength) {
    add('minLength', findText({ matching, minLength, maxLength: Math.min(maxLength, least - 1) }))
  }
  const most = numberAt(wide, 'maxLength')
  if (most !== undefined && most < maxLength) {
    add('maxLength', findText({ matching, minLength: Math.max(minLength, most + 1), maxLength }))
  }
  const pattern = keywordOf(wide, 'pattern')
  if (typeof pattern === 'string' && !matching.includes(pattern)) {
    add('pattern', findText({ matching, notMatching: pattern, minLength, maxLength }))
  }
  const format = keywordOf(wide, 'format')
  if (typeof format === 'string' && !textKeywords(open, 'format').includes(format)) {
    add('format', findText({ matching, minLength, maxLength }))
  }
  return found
}

export function numberGaps(
  open: readonly Place[],
  types: ReadonlySet<TypeName>,
  wide: Place,
  frames: readonly Frame[],
): Gap[] {
  const isInteger = !types.has('number')
  const { low, high } = rangeOf(open, isInteger)
  const wanted = rangeOf([wide], isInteger)
  const found: Gap[] = []
  const suspects =
    (...values: readonly number[]) =>
    () => [...values.filter(Number.isFinite), ...samples(open, { type: isInteger ? 'integer' : 'number' })]
  const step = isInteger ? 1 : 0.5
  if (low.value < wanted.low.value || (low.value === wanted.low.value && wanted.low.exclusive && !low.exclusive)) {
    const keyword = numberAt(wide, 'minimum') === undefined ? 'exclusiveMinimum' : 'minimum'
    const value = Number.isFinite(low.value) ? low.value : wanted.low.value - step
    found.push(
      gap(
        keyword,
        wide,
        `/${keyword}`,
        frames,
        suspects(value, wanted.low.value, wanted.low.value - step, value + step),
      ),
    )
  }
  if (
    high.value > wanted.high.value ||
    (high.value === wanted.high.value && wanted.high.exclusive && !high.exclusive)
  ) {
    const keyword = numberAt(wide, 'maximum') === undefined ? 'exclusiveMaximum' : 'maximum'
    const value = Number.isFinite(high.value) ? high.value : wanted.high.value + step
    found.push(
      gap(
        keyword,
        wide,
        `/${keyword}`,
        frames,
        suspects(value, wanted.high.value, wanted.high.value + step, value - step),
      ),
    )
  }
  const multiple = numberAt(wide, 'multipleOf')
  if (multiple !== undefined && !isMultiple(open, multiple, isInteger)) {
    const near = Number.isFinite(low.value) ? low.value : 0
    found.push(
      gap(
        'multipleOf',
        wide,
        '/multipleOf',
        frames,
        suspects(near + multiple / 2, near + 1, near + 2, near + multiple + 1),
      ),
    )
  }
  return found
}

/** Whole steps only: 0.3 is no multiple of 0.1 to a computer. */
function isMultiple(open: readonly Place[], multiple: number, isInteger: boolean): boolean {
  if (isInteger && multiple === 1) return true
  return open.some((place) => {
    const step = numberAt(place, 'multipleOf')
    return step !== undefined && (step === multiple || (Number.isInteger(multiple) && step % multiple === 0))
  })
}

export function arrayGaps(open: readonly Place[], wide: Place, frames: readonly Frame[], descend: Descend): Gap[] {
  const found: Gap[] = []
  const [fewest, most] = [highest(open, 'minItems', 0), maxItems(open)]
  const ofLength = (length: number) => () => samples(open, { type: 'array', length })
  const least = numberAt(wide, 'minItems')
  if (least !== undefined && least > fewest) {
    found.push(gap('minItems', wide, '/minItems', frames, ofLength(Math.min(least - 1, most))))
  }
  const limit = numberAt(wide, 'maxItems')
  if (limit !== undefined && limit < most) {
    found.push(gap('maxItems', wide, '/maxItems', frames, ofLength(Math.max(limit + 1, fewest))))
  }
  if (
    keywordOf(wide, 'uniqueItems') === true &&
    most > 1 &&
    !open.some((place) => keywordOf(place, 'uniqueItems') === true)
  ) {
    found.push(gap('uniqueItems', wide, '/uniqueItems', frames, ofLength(Math.max(2, fewest))))
  }
  const items = below(wide, 'items')
  if (items !== undefined && most > 0) {
    found.push(...descend(itemsOf(open), items, { places: open, step: { kind: 'item' } }))
  }
  return found
}
