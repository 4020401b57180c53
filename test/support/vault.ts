import type { BusSeal } from '#bus/embedded.ts'
import type { Vault } from '#trust/vault.ts'

/** Seals nothing, in the form of what stood in the store before there was a vault: for tests of something else. */
export const plainVault: Vault = {
  seal: (_retention, plain) => Buffer.concat([Buffer.of(0), typeof plain === 'string' ? Buffer.from(plain) : plain]),
  open: (sealed) => sealed.subarray(1),
}

export const plainSeal: BusSeal = { seal: (value) => plainVault.seal('delivered', value), open: plainVault.open }
