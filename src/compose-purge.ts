import { reportDestroyedKeys } from '#exchange/purge-report.ts'
import { destroyDueKeys } from '#trust/purge.ts'
import type { Core } from './compose.ts'

/** Destroys the keys whose retention is over, forgets them here at once, and reports. Returns how many it destroyed. */
export async function purgeStep(core: Core): Promise<number> {
  const { config, db, clock, vault, keyRing } = core
  const destroyed = await destroyDueKeys({ db, clock, days: config.retentionDays })
  if (destroyed > 0) await vault.refresh()
  await reportDestroyedKeys({
    db,
    clock,
    hubId: config.hubId,
    signer: keyRing.signer,
    acceptOwn: (token) => acceptOwn(core, token),
  })
  return destroyed
}

/** Accepts a notice of the hub's own. Throws when it is refused or cannot be made durable. */
export async function acceptOwn(core: Pick<Core, 'acceptOwn'>, token: string): Promise<void> {
  const result = await core.acceptOwn(token)
  if (result.kind === 'refused') throw result.error
}
