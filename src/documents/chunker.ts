/** Gathers bytes as they come and gives them out in chunks of a wished size. */
export interface Chunker {
  push(bytes: Uint8Array): void
  /** How many bytes wait. */
  holds(): number
  /** The first `count` of them, copied together once. */
  take(count: number): Buffer
}

export function createChunker(): Chunker {
  let waiting: Uint8Array[] = []
  let size = 0
  return {
    push(bytes) {
      waiting.push(bytes)
      size += bytes.length
    },
    holds: () => size,
    take(count) {
      const all = waiting.length === 1 && waiting[0] !== undefined ? waiting[0] : Buffer.concat(waiting)
      const rest = all.subarray(count)
      waiting = rest.length === 0 ? [] : [rest]
      size = rest.length
      return Buffer.from(all.buffer, all.byteOffset, Math.min(count, all.length))
    },
  }
}
