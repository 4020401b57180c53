import type { Violation } from '#kernel/errors.ts'
import { atPointer, type Json, type JsonObject } from '#kernel/json.ts'
import { fileFault } from './schema-files.ts'
import { subschemaAt } from './schema-walk.ts'

const MEMBERS = ['digest', 'bytes', 'mediaType', 'copyExpiresAt']

/** What the hub reads of a file object, so a schema cannot leave it out or leave it open. */
const REQUIRED: readonly (readonly [pointer: string, value: Json])[] = [
  ['/type', 'object'],
  ['/properties/digest/format', 'file-digest'],
  ['/properties/bytes/type', 'integer'],
  ['/properties/mediaType/type', 'string'],
  ['/properties/copyExpiresAt/format', 'date-time'],
]

/** Whether the contract's schema has a file object (PROTOCOL, Files), or a list of them, at each of its pointers. */
export function fileObjectFaults(file: string, pointers: readonly string[], schema: JsonObject): Violation[] {
  return pointers.flatMap((pointer, i) => {
    const found = subschemaAt(schema, pointer)
    if (isFileObject(found?.type === 'array' ? subschemaAt(schema, `${pointer}/0`) : found)) return []
    const zh = `模式在 ${pointer} 处应为文件对象 {digest, bytes, mediaType, copyExpiresAt} 或其数组`
    const en = `the schema needs a file object {digest, bytes, mediaType, copyExpiresAt} or a list of them at ${pointer}`
    return [fileFault(file, `/files/pointers/${i}`, 'file-object', zh, en)]
  })
}

function isFileObject(schema: JsonObject | undefined): boolean {
  const required = schema?.required
  if (!Array.isArray(required) || !MEMBERS.every((name) => required.includes(name))) return false
  return REQUIRED.every(([pointer, value]) => atPointer(schema, pointer) === value)
}
