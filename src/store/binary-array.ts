/** An array literal for values that need no escaping: ids, ISO times, numbers, truth values; null is NULL. */
export const plainArray = (values: readonly (string | number | boolean | null)[]): string =>
  `{${values.map((value) => value ?? 'NULL').join(',')}}`

const BYTEA_OID = 17
const TEXT_OID = 25
const NULL_LENGTH = -1

/** A text[] in PostgreSQL's binary format; undefined is NULL. */
export const textArray = (values: readonly (string | undefined)[]): Buffer => binaryArray(TEXT_OID, values)

/** A bytea[] in PostgreSQL's binary format; undefined is NULL. */
export const byteaArray = (values: readonly (Buffer | undefined)[]): Buffer => binaryArray(BYTEA_OID, values)

/**
 * A text[] or bytea[] as array_recv reads it. node-postgres sends a Buffer as it is, and the server copies each value
 * where it would read an array literal byte by byte: kilobytes of token in every row.
 */
function binaryArray(oid: number, values: readonly (string | Buffer | undefined)[]): Buffer {
  const lengths = values.map((value) => (value === undefined ? NULL_LENGTH : Buffer.byteLength(value)))
  const array = Buffer.allocUnsafe(lengths.reduce((sum, length) => sum + 4 + Math.max(0, length), 20))
  const hasNulls = values.includes(undefined) ? 1 : 0
  let at = 0
  // dimensions, nulls, type of the elements; length and lower bound of the one dimension
  for (const field of [1, hasNulls, oid, values.length, 1]) at = array.writeInt32BE(field, at)
  for (const [index, value] of values.entries()) {
    at = array.writeInt32BE(lengths[index] ?? 0, at)
    if (value !== undefined) at += typeof value === 'string' ? array.write(value, at) : value.copy(array, at)
  }
  return array
}
