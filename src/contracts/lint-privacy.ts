import type { Violation } from '#kernel/errors.ts'
import { atPointer, isJsonObject, type Json, type JsonObject } from '#kernel/json.ts'
import { tagOf } from './privacy-tag.ts'
import { walkSchema } from './schema-walk.ts'

/** Chinese titles and English names of what is evidently about a person. */
const TITLES =
  /姓名|身份证号|公民身份|证件号码|护照|手机|移动电话|联系电话|联系方式|住址|居住地|用电地址|家庭地址|坐落|邮箱/
const NAMES =
  /^(?:idNumber|idCard(?:No|Number)?|residentId|mobile|phone|telephone|contactPhone|email|homeAddress|residence|birthDate|birthday|surname|givenName|personName|fullName)$/

/** Codes of such a thing, not the thing. */
const ABOUT = /区划|类型|类别|种类/

/** Members that hold a person, whose `name` is a person's. */
const PERSONS =
  /\/properties\/(?:applicant|agent|contact|person|[a-z]+Manager|responsiblePerson|legalRepresentative|handler)(?:\/items)?\/properties\/name$/

/** Formats whose values are about one person. */
const FORMATS = ['resident-id', 'email']

/** Properties that are evidently personal and carry no `x-privacy`: they would stand in the clear. */
export function lintPrivacy(schema: JsonObject): readonly Violation[] {
  const faults: Violation[] = []
  walkSchema(schema, (subschema, pointer) => {
    const name = /\/properties\/([^/]+)$/.exec(pointer)?.[1]
    if (name === undefined || !isValue(subschema) || tagOf(subschema) !== undefined) return
    if (!isEvident(subschema, name, pointer) || isTaggedAround(schema, pointer)) return
    const en = 'is evidently personal and needs an x-privacy tag'
    faults.push({ pointer, rule: 'privacy-tag', message: { zh: '明显为个人信息，须加 x-privacy 标签', en } })
  })
  return faults
}

/** A condition repeats a property only to narrow it. */
const isValue = ({ type, title }: JsonObject): boolean => type === 'string' && title !== undefined

const isEvident = ({ title, format }: JsonObject, name: string, pointer: string): boolean =>
  NAMES.test(name) ||
  PERSONS.test(pointer) ||
  (typeof format === 'string' && FORMATS.includes(format)) ||
  (typeof title === 'string' && TITLES.test(title) && !ABOUT.test(title))

/** Whether an object or list that it stands in is tagged as a whole. */
function isTaggedAround(schema: JsonObject, pointer: string): boolean {
  const parts = pointer.split('/')
  return parts.some((_, i) => {
    const above: Json | undefined = atPointer(schema, parts.slice(0, i + 1).join('/'))
    return isJsonObject(above) && tagOf(above) !== undefined
  })
}
