import type { MediaType } from '#contracts/contract.ts'
import type { PartyRegister } from '#exchange/party-register.ts'
import { type Proven, requireStanding } from '#exchange/prove.ts'
import type { Clock } from '#kernel/clock.ts'
import { HubError } from '#kernel/errors.ts'
import type { Db } from '#store/db.ts'
import { findFetchable, recordFetch } from '#store/file-naming-queries.ts'
import { CHUNK_BYTES, readChunk } from '#store/file-queries.ts'
import type { TransferSlots } from './transfer-slots.ts'

export interface FetchDeps {
  readonly db: Db
  readonly clock: Clock
  readonly register: PartyRegister
  readonly slots: TransferSlots
  readonly open: (sealed: Buffer) => Buffer
  /** How long a reader may take nothing. */
  readonly readerIdleMs: number
  /** Whose deliveries the asker gets by now. */
  readonly servedBy: (asker: Proven) => readonly string[]
}

/** A file that the asker may fetch now. */
export interface Fetchable {
  readonly id: string
  readonly digest: string
  readonly bytes: number
  readonly mediaType: MediaType
  readonly copyExpiresAt: Date
}

/** Bytes of a file, both inclusive. */
export interface ByteRange {
  readonly first: number
  readonly last: number
}

/**
 * The file, when an exchange that names it gives the asker the right and the copy has not expired. Throws
 * `file.not_found`, alike for what is not there and what is not the asker's, and `file.lapsed`.
 */
export async function fetchableFile(deps: FetchDeps, asker: Proven, digest: string): Promise<Fetchable> {
  const found = await findFetchable(deps.db, asker.party.id, deps.servedBy(asker), digest)
  if (found === undefined) throw new HubError('file.not_found')
  if (found.expires_at.getTime() <= deps.clock() || found.state !== 'complete') throw new HubError('file.lapsed')
  return {
    id: found.id,
    digest,
    bytes: found.bytes,
    // The column holds only what an upload was judged as.
    mediaType: found.media_type as MediaType,
    copyExpiresAt: found.expires_at,
  }
}

/**
 * Records the fetch and then gives the bytes, a chunk whenever the reader is ready for one. A reader that takes nothing
 * for `readerIdleMs`, or that loses its standing, is cut off.
 */
export async function openFile(
  deps: FetchDeps,
  asker: Proven,
  file: Fetchable,
  { first, last }: ByteRange,
): Promise<ReadableStream<Uint8Array>> {
  const leave = deps.slots.enter(asker.party.id)
  try {
    const { id, digest } = file
    await recordFetch(deps.db, { file: id, digest, party: asker.party.id, firstByte: first, lastByte: last })
  } catch (error) {
    leave()
    throw error
  }
  let at = first
  let idle: NodeJS.Timeout | undefined
  const end = (): void => {
    clearTimeout(idle)
    leave()
  }
  return new ReadableStream<Uint8Array>(
    {
      async pull(controller) {
        clearTimeout(idle)
        try {
          requireStanding(deps.register, asker)
          const bytes = await bytesFrom(deps, file, at, last)
          at += bytes.length
          controller.enqueue(bytes)
          if (at <= last) {
            idle = setTimeout(() => {
              controller.error(new HubError('http.timeout'))
              end()
            }, deps.readerIdleMs).unref()
            return
          }
          controller.close()
          end()
        } catch (error) {
          end()
          throw error
        }
      },
      cancel: end,
    },
    { highWaterMark: 1 },
  )
}

/** From a place to the end of its chunk, or of what was asked for. */
async function bytesFrom(deps: FetchDeps, file: Fetchable, at: number, last: number): Promise<Buffer> {
  const n = Math.floor(at / CHUNK_BYTES)
  const sealed = await readChunk(deps.db, file.id, n)
  // Purged while it was being read.
  if (sealed === undefined) throw new HubError('file.lapsed')
  return deps.open(sealed).subarray(at - n * CHUNK_BYTES, last + 1 - n * CHUNK_BYTES)
}
