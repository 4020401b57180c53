const SEED = 0x9747b28c
const M = 0x5bd1e995
const R = 24

/** MurmurHash2 in the 32-bit form of the Java client (`Utils.murmur2`), as a signed integer. */
export function murmur2(bytes: Uint8Array): number {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength)
  const { length } = bytes
  const tail = length & ~3
  let h = SEED ^ length
  for (let at = 0; at < tail; at += 4) {
    let k = Math.imul(view.getInt32(at, true), M)
    k ^= k >>> R
    h = Math.imul(h, M) ^ Math.imul(k, M)
  }
  if (length > tail) {
    for (let at = length - 1; at >= tail; at--) h ^= view.getUint8(at) << (8 * (at - tail))
    h = Math.imul(h, M)
  }
  h ^= h >>> 13
  h = Math.imul(h, M)
  return h ^ (h >>> 15)
}

/** The partition that the Java client's default partitioner chooses for the UTF-8 bytes of a key. */
export const partitionOf = (key: string, partitions: number): number =>
  (murmur2(Buffer.from(key)) & 0x7fffffff) % partitions
