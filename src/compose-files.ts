import type { ContractSet } from '#contracts/contract.ts'
import { type FetchDeps, fetchableFile, openFile } from '#documents/fetch-file.ts'
import { requireFileDigests } from '#documents/file-digest.ts'
import { createTransferSlots } from '#documents/transfer-slots.ts'
import { takeUpload, type UploadDeps, uploadState } from '#documents/upload.ts'
import type { Proven } from '#exchange/prove.ts'
import type { FileDoor } from '#gateway/http/deps.ts'
import type { Clock } from '#kernel/clock.ts'
import type { LiveRegister } from '#parties/register.ts'
import type { Db } from '#store/db.ts'
import type { Vault } from '#trust/vault.ts'
import type { Config } from './config.ts'

interface FileSources {
  readonly config: Config
  readonly db: Db
  readonly clock: Clock
  readonly contracts: ContractSet
  readonly register: LiveRegister
  readonly vault: Vault
}

const READER_IDLE_MS = 60_000

/** Uploads and fetches of one gateway. Throws `config.invalid` when a digest of PROTOCOL cannot be computed here. */
export function composeFiles(core: FileSources, servedBy: (asker: Proven) => readonly string[]): FileDoor {
  requireFileDigests()
  const { db, clock, contracts, register, vault } = core
  // A copy says itself how long it is kept, and may be longer than any other class: its chunks go when it expires.
  const seal = (plain: Buffer): Buffer => vault.seal('archive', plain)
  const shared = { db, clock, register, slots: createTransferSlots(), seal, open: vault.open }
  const uploads: UploadDeps = { ...shared, contracts, ...core.config.files }
  const fetches: FetchDeps = { ...shared, servedBy, readerIdleMs: READER_IDLE_MS }
  return {
    upload: (asker, digest, part, body) => takeUpload(uploads, asker, digest, part, body),
    uploadState: (asker, digest) => uploadState(db, asker.party.id, digest),
    fetchable: (asker, digest) => fetchableFile(fetches, asker, digest),
    open: (asker, file, range) => openFile(fetches, asker, file, range),
  }
}
