import { purgeStep } from '#compose-purge.ts'
import { logReader } from '#compose-vault.ts'
import { PURGE_CONTRACT } from '#exchange/purge-report.ts'
import { RETENTION_CLASSES } from '#kernel/retention.ts'
import { keyClasses } from '#store/data-key-queries.ts'
import { openDb } from '#store/db.ts'
import { latestUnder } from '#store/exchange-queries.ts'
import { openFileKeystore } from '#trust/keystore.ts'
import { dueKeys } from '#trust/purge.ts'
import { rotateKeys } from '#trust/rotate.ts'
import { printJson, say } from './output.ts'
import { withCore } from './with-core.ts'
import { withStore } from './with-store.ts'

/** A JSON line for each retention class: for how long it is kept, its keys, and the versions that they are wrapped under. */
export const status = (): Promise<void> =>
  withCore(async ({ config, db, clock }) => {
    const classes = await keyClasses(db)
    const due = await dueKeys({ db, clock, days: config.retentionDays })
    for (const retention of RETENTION_CLASSES) {
      printJson({
        days: config.retentionDays[retention],
        ...(classes.find((one) => one.retention === retention) ?? { retention, keys: 0 }),
        due: due.filter((key) => key.retention === retention).length,
      })
    }
  })

export interface RotateOptions {
  readonly rewrapOnly?: boolean
  readonly forget?: boolean
}

/** Needs the database and the keystore alone, so that it also serves a host at a utility's side. */
export const rotate = (options: RotateOptions): Promise<void> =>
  withStore(async (url, config) => {
    const db = openDb(url, { max: 2 })
    try {
      const done = await rotateKeys(db, openFileKeystore(config.keystoreFile, false), options)
      printJson(done)
      say(`${done.rewrapped} data keys are wrapped under version ${done.version}; back the keystore up now`)
    } finally {
      await db.destroy()
    }
  })

/** Destroys what is due now, as the hub does each day, and reports it; `dryRun` only lists it. */
export const purge = ({ dryRun = false }: { readonly dryRun?: boolean }): Promise<void> =>
  withCore(async (core) => {
    const { config, db, clock } = core
    for (const { id, retention, period } of await dueKeys({ db, clock, days: config.retentionDays })) {
      printJson({ key: id, retention, period })
    }
    if (dryRun) return
    say(`destroyed ${await purgeStep(core)} data keys; running processes forget them within a minute`)
  })

const REPORTS = 100

/** The latest reports, newest first, with the signed tokens that prove them. */
export const reports = (): Promise<void> =>
  withCore(async ({ db, vault, log }) => {
    const { claimsOf } = logReader(vault, log)
    for (const { id, token, accepted_at } of await latestUnder(db, PURGE_CONTRACT, REPORTS)) {
      const signed = vault.open(token).toString('latin1')
      printJson({ exchange: id, acceptedAt: accepted_at, data: claimsOf(token)['data'] ?? null, token: signed })
    }
  })
