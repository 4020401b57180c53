import type { Contract } from '#contracts/contract.ts'
import { HubError, type Violation } from '#kernel/errors.ts'
import { atPointer, isJsonObject, type Json, type JsonObject } from '#kernel/json.ts'
import type { NamedFile } from '#store/file-naming-queries.ts'

const NONE: readonly NamedFile[] = Object.freeze([])

/**
 * The files that the data names where its contract carries some. What the data alone can show is judged here: size and
 * media type against the contract, and an expiry in the past. Throws `file.not_carried`, `file.copy_expired`.
 */
export function namedFiles({ files }: Pick<Contract, 'files'>, data: Json, nowMs: number): readonly NamedFile[] {
  if (files === undefined) return NONE
  const named = files.pointers.flatMap((pointer) => filesAt(data, pointer))
  const strange = named.flatMap(({ pointer, bytes, mediaType }) => [
    ...(bytes <= files.maxBytes
      ? []
      : [
          fault(`${pointer}/bytes`, 'maxBytes', `超过合同上限 ${files.maxBytes} 字节`, `above ${files.maxBytes} bytes`),
        ]),
    ...((files.mediaTypes as readonly string[]).includes(mediaType)
      ? []
      : [fault(`${pointer}/mediaType`, 'mediaTypes', '合同不传送该媒体类型', 'not a media type of the contract')]),
  ])
  if (strange.length > 0) throw new HubError('file.not_carried', { violations: strange })
  const expired = named
    .filter(({ copyExpiresAtMs }) => copyExpiresAtMs <= nowMs)
    .map(({ pointer }) => fault(`${pointer}/copyExpiresAt`, 'future', '应晚于枢纽时间', 'must be after the hub’s time'))
  if (expired.length > 0) throw new HubError('file.copy_expired', { violations: expired })
  return named
}

/** One file object or a list of them; the schema has judged their members. */
function filesAt(data: Json, pointer: string): NamedFile[] {
  const found = atPointer(data, pointer)
  if (Array.isArray(found)) {
    return found.filter(isJsonObject).map((item: JsonObject, i) => namedFile(item, `${pointer}/${i}`))
  }
  return isJsonObject(found) ? [namedFile(found, pointer)] : []
}

const namedFile = (object: JsonObject, pointer: string): NamedFile => ({
  pointer,
  digest: String(object['digest']),
  bytes: Number(object['bytes']),
  mediaType: String(object['mediaType']),
  copyExpiresAtMs: Date.parse(String(object['copyExpiresAt'])),
})

/** One thing that is wrong about a named file, as a violation. */
export const fault = (pointer: string, rule: string, zh: string, en: string): Violation => ({
  pointer,
  rule,
  message: { zh, en },
})
