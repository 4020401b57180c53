import { createCipheriv, createDecipheriv, hkdfSync, randomBytes } from 'node:crypto'
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
import type { HubKeyRing } from '#trust/key-ring.ts'
import type { Config } from './config.ts'

interface FileSources {
  readonly config: Config
  readonly db: Db
  readonly clock: Clock
  readonly contracts: ContractSet
  readonly register: LiveRegister
  readonly keyRing: HubKeyRing
}

/** Uploads and fetches of one gateway. Throws `config.invalid` when a digest of PROTOCOL cannot be computed here. */
export function composeFiles(core: FileSources, servedBy: (asker: Proven) => readonly string[]): FileDoor {
  requireFileDigests()
  const { db, clock, contracts, register } = core
  const shared = { db, clock, register, slots: createTransferSlots(), ...createFileSeal(core.keyRing.digestKey) }
  const uploads: UploadDeps = { ...shared, contracts, ...core.config.files }
  const fetches: FetchDeps = { ...shared, servedBy }
  return {
    upload: (asker, digest, part, body) => takeUpload(uploads, asker, digest, part, body),
    uploadState: (asker, digest) => uploadState(db, asker.party.id, digest),
    fetchable: (asker, digest) => fetchableFile(fetches, asker, digest),
    open: (asker, file, range) => openFile(fetches, asker, file, range),
  }
}

const NONCE_BYTES = 12
const TAG_BYTES = 16

/** The one place that knows how a chunk is sealed: AES-256-GCM, nonce ‖ tag ‖ text. */
function createFileSeal(hubKey: Buffer): Pick<UploadDeps, 'seal' | 'open'> {
  const key = Buffer.from(hkdfSync('sha256', hubKey, '', 'dianqiao file chunk', 32))
  return {
    seal(plain) {
      const nonce = randomBytes(NONCE_BYTES)
      const cipher = createCipheriv('aes-256-gcm', key, nonce)
      const text = [cipher.update(plain), cipher.final()]
      return Buffer.concat([nonce, cipher.getAuthTag(), ...text])
    },
    open(sealed) {
      const decipher = createDecipheriv('aes-256-gcm', key, sealed.subarray(0, NONCE_BYTES))
      decipher.setAuthTag(sealed.subarray(NONCE_BYTES, NONCE_BYTES + TAG_BYTES))
      return Buffer.concat([decipher.update(sealed.subarray(NONCE_BYTES + TAG_BYTES)), decipher.final()])
    },
  }
}
