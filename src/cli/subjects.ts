import { PROJECT_ROOT } from '#compose.ts'
import { configFromProcess } from '#config.ts'
import { identifyingContracts } from '#contracts/identifying.ts'
import { loadContracts } from '#contracts/load.ts'
import { createDigests } from '#exchange/digests.ts'
import { deliveriesAbout, disclosuresOf, filesGivenOf, findSubject } from '#store/disclosure-queries.ts'
import { listDisputes } from '#store/dispute-queries.ts'
import { openKeyRing } from '#trust/key-ring.ts'
import { usage } from './json-file.ts'
import { printJson, readStdin, say } from './output.ts'
import { withDb } from './with-store.ts'

/**
 * Who got what about a subject, when and for which case, by a query, a delivery or a file: a JSON line each, the oldest
 * first. Its number comes on stdin: a command line is seen by others and kept.
 */
export async function disclosures(codeType: string): Promise<void> {
  const code = (await readStdin()).trim()
  if (code === '') throw usage('从 stdin 输入证件号码', 'give the number on stdin')
  const digests = createDigests(openKeyRing(configFromProcess().hubKeysFile, false).digestKey)
  const identifying = identifyingContracts(loadContracts(PROJECT_ROOT))
  const rows = await withDb(async (db) => {
    const subject = await findSubject(db, digests.subject(codeType, code), identifying)
    return [
      ...(await disclosuresOf(db, subject)),
      ...(await deliveriesAbout(db, subject)),
      ...(await filesGivenOf(db, subject)),
    ]
  })
  for (const row of rows.toSorted((a, b) => a.at.getTime() - b.at.getTime())) printJson(row)
  say(`${rows.length} disclosures`)
}

/** Disputes with their due days, a JSON line each, those due first first. */
export async function disputes(withSettled: boolean): Promise<void> {
  const rows = await withDb((db) => listDisputes(db, withSettled))
  for (const row of rows) printJson(row)
  say(`${rows.length} disputes, ${rows.filter(({ overdue }) => overdue).length} overdue`)
}
