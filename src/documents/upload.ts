import type { ContractSet, MediaType } from '#contracts/contract.ts'
import type { PartyRegister } from '#exchange/party-register.ts'
import { type Proven, requireStanding } from '#exchange/prove.ts'
import type { Clock } from '#kernel/clock.ts'
import { HubError, violated } from '#kernel/errors.ts'
import type { Db } from '#store/db.ts'
import {
  appendChunk,
  beginUpload,
  CHUNK_BYTES,
  completeUpload,
  discardUpload,
  findOwnFile,
  type NewFile,
  readChunk,
  resumeUpload,
  type StoredFile,
} from '#store/file-queries.ts'
import { createChunker } from './chunker.ts'
import { beginsAs, isMediaType, isOfd } from './file-content.ts'
import { digestOf, hashFor } from './file-digest.ts'
import type { TransferSlots } from './transfer-slots.ts'

export interface UploadDeps {
  readonly db: Db
  readonly clock: Clock
  readonly contracts: ContractSet
  readonly register: PartyRegister
  readonly slots: TransferSlots
  /** The hub's own cap of one file, beside those of the contracts. */
  readonly maxBytes: number
  /** What a party may have unfinished or unnamed. */
  readonly quotaBytes: number
  readonly seal: (plain: Buffer) => Buffer
  readonly open: (sealed: Buffer) => Buffer
}

/** What an upload request brings: bytes `from` (inclusive) to `to` (exclusive) of a file of `total` bytes. */
export interface UploadPart {
  readonly mediaType: string
  readonly from: number
  readonly to: number
  readonly total: number
}

/** What the hub has of an upload after a request. */
export interface UploadState {
  readonly digest: string
  readonly bytes: number
  readonly mediaType: string
  /** Where the next request goes on; equal to `bytes` when it is complete. */
  readonly offset: number
  readonly complete: boolean
  /** Whether this request completed it. */
  readonly created: boolean
}

/**
 * Takes one request of an upload: sealed whole chunks are durable one by one, so that a request that breaks off loses
 * less than one. The last one completes the file, after its digest over everything that is stored; what is not what it
 * was said to be is discarded. Throws `right.missing`, `file.*`, `limit.exceeded`, `hub.busy`.
 */
export async function takeUpload(
  deps: UploadDeps,
  asker: Proven,
  digest: string,
  part: UploadPart,
  body: AsyncIterable<Uint8Array>,
): Promise<UploadState> {
  const { party } = asker
  const mediaType = requireRight(deps, party.id, part)
  const leave = deps.slots.enter(party.id)
  try {
    const file: NewFile = { owner: party.id, digest, bytes: part.total, mediaType }
    const upload = await openUpload(deps, file, part)
    const state = { digest, bytes: upload.bytes, mediaType: upload.media_type }
    if (upload.state === 'complete') return { ...state, offset: upload.bytes, complete: true, created: false }
    const standing = whileStanding(deps.register, asker, body)
    const offset = await storeBody(deps, { ...file, mediaType }, upload, part, standing)
    const complete = offset === part.total
    return { ...state, offset, complete, created: complete }
  } finally {
    leave()
  }
}

/** A long body ends where its sender loses its standing. */
async function* whileStanding(
  register: PartyRegister,
  asker: Proven,
  body: AsyncIterable<Uint8Array>,
): AsyncGenerator<Uint8Array> {
  for await (const bytes of body) {
    requireStanding(register, asker)
    yield bytes
  }
}

/** What the caller itself has uploaded under this digest, undefined where there is nothing. */
export async function uploadState(db: Db, owner: string, digest: string): Promise<UploadState | undefined> {
  const found = await findOwnFile(db, owner, digest)
  if (found === undefined || found.state === 'purged') return undefined
  const { bytes, media_type: mediaType, stored: offset } = found
  return { digest, bytes, mediaType, offset, complete: found.state === 'complete', created: false }
}

/** Some contract that the party may send under, for itself or for another, carries files of this type and size. */
function requireRight(deps: UploadDeps, party: string, { mediaType, total }: UploadPart): MediaType {
  if (!isMediaType(mediaType)) throw new HubError('http.unsupported_media_type')
  const nowMs = deps.clock()
  const caps = deps.contracts.list().flatMap(({ ref, providers, files }) => {
    if (files?.mediaTypes.includes(mediaType) !== true) return []
    const sends = deps.register.actsFor(party, ref, nowMs).some((principal) => {
      const roles = deps.register.party(principal)?.roles ?? []
      return providers.some((one) => ('party' in one ? one.party === principal : roles.includes(one.role)))
    })
    return sends ? [files.maxBytes] : []
  })
  if (caps.length === 0) {
    const zh = `无权以任何合同发送 ${mediaType} 文件`
    throw violated(
      'right.missing',
      '',
      `file:${mediaType}`,
      zh,
      `no right to send a file of ${mediaType} under any contract`,
    )
  }
  const cap = Math.min(Math.max(...caps), deps.maxBytes)
  if (total > cap) throw violated('file.too_large', '', 'maxBytes', `上限 ${cap} 字节`, `at most ${cap} bytes`)
  return mediaType
}

async function openUpload(deps: UploadDeps, file: NewFile, { from }: UploadPart): Promise<StoredFile> {
  if (from === 0) {
    const begun = await beginUpload(deps.db, file, deps.quotaBytes)
    if (begun === 'over-quota') throw new HubError('file.quota_exceeded')
    return begun
  }
  const resumed = await resumeUpload(deps.db, file, from)
  if (resumed !== undefined) return resumed
  const found = await findOwnFile(deps.db, file.owner, file.digest)
  if (found?.state === 'complete') return found
  throw offsetWrong(found?.stored ?? 0)
}

const offsetWrong = (offset: number): HubError =>
  violated('file.offset_wrong', '', 'Upload-Offset', `枢纽已存 ${offset} 字节`, `the hub has ${offset} bytes`)

/** Stores what the body brings; the offset that is durable then. */
async function storeBody(
  deps: UploadDeps,
  file: NewFile & { readonly mediaType: MediaType },
  upload: StoredFile,
  part: UploadPart,
  body: AsyncIterable<Uint8Array>,
): Promise<number> {
  const chunker = createChunker()
  let at = part.from
  let received = part.from
  for await (const bytes of body) {
    received += bytes.length
    if (received > part.to) throw sizeWrong(part)
    chunker.push(bytes)
    // The last chunk waits until the file is whole: it is stored together with the judgement on all of it.
    while (chunker.holds() >= CHUNK_BYTES && at + CHUNK_BYTES < part.total) {
      await storeChunk(deps, file, upload, at, chunker.take(CHUNK_BYTES))
      at += CHUNK_BYTES
    }
  }
  if (received !== part.to) throw sizeWrong(part)
  if (received < part.total) return at
  await finish(deps, file, upload, at, chunker.take(chunker.holds()))
  return part.total
}

const sizeWrong = ({ from, to }: UploadPart): HubError =>
  violated('file.size_wrong', '', 'bytes', `应为 ${to - from} 字节`, `must be ${to - from} bytes`)

async function storeChunk(
  deps: UploadDeps,
  { mediaType }: { readonly mediaType: MediaType },
  upload: StoredFile,
  at: number,
  plain: Buffer,
): Promise<void> {
  if (at === 0 && !beginsAs(mediaType, plain)) throw await discarded(deps, upload, 'file.content_wrong')
  if (!(await appendChunk(deps.db, upload, at, deps.seal(plain)))) throw takenOver()
}

const takenOver = (): HubError =>
  violated('file.offset_wrong', '', 'writer', '另一请求已接手此上传', 'another request has taken this upload over')

/** Digest and content over what is stored, read back chunk by chunk, and over the last chunk in hand. */
async function finish(
  deps: UploadDeps,
  file: NewFile & { readonly mediaType: MediaType },
  upload: StoredFile,
  at: number,
  last: Buffer,
): Promise<void> {
  const chunk = async (n: number): Promise<Buffer> => {
    if (n * CHUNK_BYTES === at) return last
    const sealed = await readChunk(deps.db, upload.id, n)
    if (sealed === undefined) throw takenOver()
    return deps.open(sealed)
  }
  const hash = hashFor(file.digest)
  for (let n = 0; n * CHUNK_BYTES <= at; n++) hash.update(await chunk(n))
  if (digestOf(file.digest, hash) !== file.digest) throw await discarded(deps, upload, 'file.digest_wrong')
  const isContent =
    beginsAs(file.mediaType, at === 0 ? last : await chunk(0)) &&
    (file.mediaType !== 'application/ofd' || (await isOfd(file.bytes, readerOf(chunk))))
  if (!isContent) throw await discarded(deps, upload, 'file.content_wrong')
  if (!(await completeUpload(deps.db, upload, at, deps.seal(last)))) throw takenOver()
}

const readerOf =
  (chunk: (n: number) => Promise<Buffer>) =>
  async (from: number, to: number): Promise<Buffer> => {
    const parts: Buffer[] = []
    for (let n = Math.floor(from / CHUNK_BYTES); n * CHUNK_BYTES < to; n++) {
      const start = n * CHUNK_BYTES
      parts.push((await chunk(n)).subarray(Math.max(0, from - start), to - start))
    }
    return Buffer.concat(parts)
  }

async function discarded(
  { db }: UploadDeps,
  upload: StoredFile,
  code: 'file.digest_wrong' | 'file.content_wrong',
): Promise<HubError> {
  await discardUpload(db, upload)
  return new HubError(code)
}
