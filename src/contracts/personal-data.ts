import type { Violation } from '#kernel/errors.ts'
import type { JsonObject } from '#kernel/json.ts'
import type { RetentionClass } from '#kernel/retention.ts'
import type { AnswersSource } from './answers.ts'
import type { Contract } from './contract.ts'
import type { ContractFile } from './contract-file.ts'
import { isPersonalAt, taggedPlaces } from './privacy.ts'
import { fileFault } from './schema-files.ts'

/**
 * What the store holds in the clear, and what stands in headers: business key, numbers of the case, the identifier of a
 * document. Where such a key is personal the data carries a keyed reference instead (PROTOCOL, sub). A query's own
 * subject is stored sealed only.
 */
export function personalKeyFaults(file: string, source: ContractFile, schema: JsonObject): Violation[] {
  if (source.kind === 'query') return []
  const aliases = source.aliases.flatMap((alias, i): [string, string][] =>
    'list' in alias ? [[`/aliases/${i}`, `${alias.list}/0/number`]] : [[`/aliases/${i}`, alias.number]],
  )
  const keys: readonly (readonly [string, string | undefined])[] = [
    ['/sub', source.sub],
    ['/caseNo', source.caseNo],
    ['/document/identifier', source.document?.identifier],
    ...aliases,
  ]
  return keys
    .filter(([, pointer]) => pointer !== undefined && isPersonalAt(schema, pointer))
    .map(([at, pointer]) => {
      const zh = `${pointer} 为个人信息，不得作业务键；请改用加密引用`
      const en = `${pointer} is personal and cannot be a key; let the data carry a keyed reference`
      return fileFault(file, at, 'personal-key', zh, en)
    })
}

/** A token is kept whole, under one class: that of its contract must be the one that each of its tags names. */
export function retentionFaults(file: string, kept: RetentionClass, schema: JsonObject): Violation[] {
  return taggedPlaces(schema)
    .filter(({ tag }) => tag.retention !== undefined && tag.retention !== kept)
    .map(({ pointer, tag }) => {
      const zh = `${pointer} 的隐私标签要求保存期类别 ${tag.retention}，合同为 ${kept}`
      const en = `the privacy tag at ${pointer} wants the retention class ${tag.retention}, the contract has ${kept}`
      return fileFault(file, '/retention', 'privacy-retention', zh, en)
    })
}

/**
 * Minimisation by tags: what is sensitive personal information never leaves in an answer, it is matched (`gives:
 * match`, `computed`), unless its tag names the legal basis for this very field.
 */
export function sensitiveAnswerFaults(
  file: string,
  { parts }: AnswersSource,
  contracts: ReadonlyMap<string, Contract>,
): Violation[] {
  return parts.flatMap((part, i) => {
    const schema = contracts.get(part.document)?.schemaDocument
    if (schema === undefined) return []
    const kept = taggedPlaces(schema).filter(({ tag }) => tag.class === 'sensitive-personal' && !tag.legalBasis)
    const isComputed = (field: string): boolean => part.computed.some(({ name }) => name === field)
    return part.fields.flatMap((field, n) => {
      const found = kept.find(({ pointer }) => `${pointer}/`.startsWith(`/${field}/`))
      if (found === undefined || isComputed(field)) return []
      const zh = `${found.pointer} 为敏感个人信息且标签未写明法律依据，不得返回；请改为比对（gives: match）`
      const en = `${found.pointer} is sensitive and its tag names no legal basis; match it (gives: match) instead`
      return [fileFault(file, `/answers/parts/${i}/fields/${n}`, 'privacy-minimise', zh, en)]
    })
  })
}
