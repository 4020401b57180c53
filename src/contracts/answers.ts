import type { Violation } from '#kernel/errors.ts'
import type { JsonObject } from '#kernel/json.ts'
import type { AnswerPart, Answers, Condition, Contract } from './contract.ts'
import { compileRule, factsFor } from './rules.ts'
import { fileFault } from './schema-files.ts'
import { subschemaAt } from './schema-walk.ts'

/** `answers` as the contract file has it, its CEL still text. */
export interface AnswersSource extends Omit<Answers, 'parts'> {
  readonly parts: readonly AnswerPart<string>[]
}

/** Compiles the expressions of each part; what does not compile goes to `faults`. */
export function compileAnswers(file: string, source: AnswersSource, faults: Violation[]): Answers {
  const parts = source.parts.map(({ where, conditions, computed, ...part }, i): AnswerPart => {
    const compiled = (text: string, at: string): Condition =>
      compileCondition(file, `/answers/parts/${i}${at}`, text, faults)
    return {
      ...part,
      ...(where === undefined ? {} : { where: compiled(where, '/where') }),
      conditions: conditions.map(({ id, expression }, n) => ({
        id,
        expression: compiled(expression, `/conditions/${n}`),
      })),
      computed: computed.map(({ name, expression }, n) => ({
        name,
        expression: compiled(expression, `/computed/${n}`),
      })),
    }
  })
  return { ...source, parts }
}

const NEVER: Condition = () => false

function compileCondition(file: string, at: string, expression: string, faults: Violation[]): Condition {
  const message = { zh: '', en: '' }
  const rule = compileRule({ id: at, severity: 'error', stage: 'ingress', expression, pointer: '', message })
  if ('judge' in rule) return (input) => rule.judge(factsFor([rule], input)) === 'kept'
  for (const why of rule) {
    faults.push(fileFault(file, at, 'cel', `CEL 无法编译：${why}`, `CEL does not compile: ${why}`))
  }
  return NEVER
}

/** What only the whole set shows: each part names a contract of its kind that exists, once, and fields that it has. */
export function answerFaults(
  file: string,
  { parts, needs }: AnswersSource,
  contracts: ReadonlyMap<string, Contract>,
): Violation[] {
  const faults: Violation[] = []
  const names = parts.map(({ document }) => nameOf(document))
  if (needs !== undefined && !parts.some(({ document }) => document === needs)) {
    faults.push(fileFault(file, '/answers/needs', 'answers', '没有这个部分', 'there is no such part'))
  }
  parts.forEach((part, i) => {
    const at = `/answers/parts/${i}`
    const kind = part.source === 'case' ? 'notice' : 'document'
    const answering = contracts.get(part.document)
    if (answering?.kind !== kind) {
      const zh = kind === 'notice' ? '没有这个通知类（notice）合同' : '没有这个证照类（document）合同'
      const en = `there is no contract of kind ${kind} with this name`
      faults.push(fileFault(file, `${at}/document`, 'answers', zh, en))
      return
    }
    const { schemaDocument } = answering
    if (part.source === 'case' && (part.key !== undefined || part.applicantName !== undefined)) {
      const en = 'a case is named by the query itself: neither key nor applicantName'
      faults.push(fileFault(file, at, 'answers', '办件由查询本身指明，不得再给出 key 或 applicantName', en))
    }
    if (names.indexOf(nameOf(part.document)) !== i) {
      faults.push(
        fileFault(file, `${at}/document`, 'answers', '同一证照只能有一个部分', 'a document has one part only'),
      )
    }
    if (part.applicantName !== undefined && subschemaAt(schemaDocument, part.applicantName) === undefined) {
      const en = `the document has nothing at ${part.applicantName}`
      faults.push(fileFault(file, `${at}/applicantName`, 'answers', `证照中没有 ${part.applicantName}`, en))
    }
    part.fields.forEach((field, n) => {
      if (isField(part, schemaDocument, field)) return
      const en = `the document has no such member: ${field}`
      faults.push(fileFault(file, `${at}/fields/${n}`, 'answers', `证照没有成员 ${field}`, en))
    })
  })
  return faults
}

function isField(part: AnswerPart<string>, schema: JsonObject, field: string): boolean {
  if (part.computed.some(({ name }) => name === field)) return true
  return (part.gives === 'match' && field === 'matched') || subschemaAt(schema, `/${field}`) !== undefined
}

const nameOf = (ref: string): string => ref.slice(0, ref.lastIndexOf('@'))
