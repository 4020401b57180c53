import { atPointer, type Json } from '#kernel/json.ts'
import type { Bilingual } from '../contract.ts'
import type { Gap } from './gaps.ts'
import type { Place } from './place.ts'
import type { Compatibility } from './verdict.ts'

interface Texts {
  /** What the schema that refuses asks for; `wanted` is the keyword's value, `about` a member or value. */
  readonly why: (wanted: string, about: string) => Bilingual
  readonly fix: Bilingual
}

const texts = (zh: string, en: string, fixZh: string, fixEn: string): Texts => {
  const fill = (text: string, wanted: string, about: string): string =>
    text.replaceAll('{wanted}', () => wanted).replaceAll('{about}', () => about)
  return {
    why: (wanted, about) => ({ zh: fill(zh, wanted, about), en: fill(en, wanted, about) }),
    fix: { zh: fixZh, en: fixEn },
  }
}

const WIDEN_ZH = '保留原来的取值范围，或发布新的主版本'
const WIDEN_EN = 'keep the range as it was, or publish a new major version'

const bound = (zh: string, en: string): Texts => texts(`${zh} {wanted}`, `${en} {wanted}`, WIDEN_ZH, WIDEN_EN)

const TEXTS: Readonly<Record<string, Texts>> = {
  type: texts(
    '只接受类型 {wanted}，而另一版本还允许 {about}',
    'only takes the type {wanted}, and the other version also allows {about}',
    '把类型改为包含原有类型的列表，或另设新字段',
    'list the earlier type as well, or add a new member',
  ),
  enum: texts(
    '取值限于 {wanted}，另一版本还允许其他取值（{about}）',
    'is limited to {wanted}, and the other version allows other values ({about})',
    '保留原有取值；新增取值须先由读取方支持',
    'keep the earlier values; new ones come after those who read know them',
  ),
  const: texts('只接受 {wanted}', 'only takes {wanted}', WIDEN_ZH, WIDEN_EN),
  required: texts(
    '必须有成员 {about}，而另一版本可以没有',
    'needs the member {about}, which the other version can lack',
    '先作为可选成员增加，待各方都发送后再改为必填',
    'make it optional first, and required once everybody sends it',
  ),
  additionalProperties: texts(
    '不接受另一版本允许的成员 {about}',
    'does not take the member {about} that the other version allows',
    '先让读取方认识该成员，再发送；删除成员前先停止发送',
    'let those who read know the member before it is sent; stop sending before it is removed',
  ),
  minLength: bound('长度至少', 'needs a length of at least'),
  maxLength: bound('长度至多', 'takes a length of at most'),
  pattern: bound('须符合正则', 'must match the pattern'),
  format: bound('须符合格式', 'must have the format'),
  minimum: bound('不得小于', 'must not be less than'),
  maximum: bound('不得大于', 'must not be greater than'),
  exclusiveMinimum: bound('须大于', 'must be greater than'),
  exclusiveMaximum: bound('须小于', 'must be less than'),
  multipleOf: bound('须为其倍数：', 'must be a multiple of'),
  minItems: bound('项数至少', 'needs as many items as'),
  maxItems: bound('项数至多', 'takes items up to'),
  uniqueItems: texts('不得有重复项', 'must not have duplicate items', WIDEN_ZH, WIDEN_EN),
  minProperties: bound('成员数至少', 'needs as many members as'),
  maxProperties: bound('成员数至多', 'takes members up to'),
  dependentRequired: texts(
    '成员之间的依赖：{about}',
    'makes one member need another: {about}',
    '先由发送方一并发送，再规定依赖',
    'let senders send both before the dependency is stated',
  ),
  anyOf: texts(
    '须符合 anyOf 之一，另一版本的某些数据都不符合',
    'must match one of anyOf, and some data of the other version matches none',
    '保留原有分支',
    'keep the earlier branches',
  ),
  oneOf: texts(
    '须恰好符合 oneOf 之一',
    'must match exactly one of oneOf',
    '保留原有分支，并使各分支互斥',
    'keep the earlier branches, and let no two overlap',
  ),
  not: texts('排除了另一版本允许的数据', 'rules out data that the other version allows', WIDEN_ZH, WIDEN_EN),
  false: texts('不接受任何值', 'takes no value at all', WIDEN_ZH, WIDEN_EN),
  value: texts('不接受取值 {about}', 'does not take the value {about}', WIDEN_ZH, WIDEN_EN),
  schema: texts(
    '不是 JSON Schema 2020-12（此处的值 {wanted} 不合元模式）',
    'is no JSON Schema 2020-12: the meta-schema does not take {wanted}',
    '按 2020-12 元模式改正该值',
    'correct the value as the 2020-12 meta-schema has it',
  ),
  endless: texts(
    '在此处引用自身而没有进入成员或数组项，无法判断任何值',
    'refers to itself here without going into a member or an item, so that it judges no value',
    '删除该引用，或让它出现在 properties 或 items 之内',
    'remove the reference, or let it stand inside properties or items',
  ),
  other: texts(
    '无法与另一版本比较：后者在 {about} 处不是可判断的 JSON Schema 2020-12',
    'cannot be compared: at {about} the other version is no JSON Schema 2020-12 that judges anything',
    '按 2020-12 元模式改正另一版本',
    'correct the other version as the 2020-12 meta-schema has it',
  ),
  unjudged: texts(
    '此关键字不在可证明的范围内',
    'this keyword is beyond what can be proved',
    '改用枢纽支持的关键字，或由人工确认后发布新的主版本',
    'use keywords that the hub supports, or publish a new major version after a person has looked',
  ),
  repeated: texts('与上层相同的差异', 'the same difference as further up', WIDEN_ZH, WIDEN_EN),
  budget: texts(
    '模式过于复杂，未能在限度内证明',
    'the schemas are too large to be proved within bounds',
    '拆分模式，或发布新的主版本',
    'split the schema, or publish a new major version',
  ),
}

const UNPROVEN: Bilingual = {
  zh: '（既未证明兼容，也未找到反例，按不兼容处理）',
  en: ' (neither proved nor refuted by an example: treated as incompatible)',
}

/** Why a gap breaks, and how to mend it. Only words of the schemas are told. */
export function explainGap(
  { rule, pointer, about = '' }: Gap,
  { root }: Place,
  direction: 'backward' | 'forward',
  verdict: 'incompatible' | 'unproven',
): { readonly why: Bilingual; readonly fix: Bilingual } {
  const found = TEXTS[rule] ?? TEXTS['value']
  const wanted = shown(atPointer(root, pointer))
  const why = found?.why(wanted, about) ?? { zh: rule, en: rule }
  const suffix = verdict === 'unproven' ? UNPROVEN : { zh: '', en: '' }
  const which =
    direction === 'backward' ? { zh: '新版本', en: 'The new version ' } : { zh: '旧版本', en: 'The old version ' }
  return {
    why: { zh: `${which.zh}${why.zh}${suffix.zh}`, en: `${which.en}${why.en}${suffix.en}` },
    fix: found?.fix ?? { zh: WIDEN_ZH, en: WIDEN_EN },
  }
}

/** A comparison that ended without a verdict on either schema. */
export const unexplained = (rule: 'budget'): Compatibility => ({
  verdict: 'unproven',
  changes: (['backward', 'forward'] as const).map((direction) => ({
    pointer: '',
    rule,
    direction,
    verdict: 'unproven',
    ...explainGap(
      { rule, pointer: '', frames: [], suspects: () => [] },
      { schema: true, root: {}, pointer: '' },
      direction,
      'unproven',
    ),
    breaks: direction === 'backward' ? 'senders' : 'recipients',
  })),
})

const MAX_SHOWN = 120

function shown(value: Json | undefined): string {
  if (value === undefined) return ''
  const text = Array.isArray(value) ? value.map((one) => JSON.stringify(one)).join(', ') : JSON.stringify(value)
  return text.length > MAX_SHOWN ? `${text.slice(0, MAX_SHOWN)}…` : text
}
