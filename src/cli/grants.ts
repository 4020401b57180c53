import { PROJECT_ROOT } from '#compose.ts'
import { loadContracts } from '#contracts/load.ts'
import { judgeGrants } from '#documents/grants.ts'
import { steadyClock, systemClock } from '#kernel/clock.ts'
import { HubError } from '#kernel/errors.ts'
import { openRegister } from '#parties/register.ts'
import { printJson, say } from './output.ts'
import { withDb } from './with-store.ts'

export interface WhyOptions {
  readonly party: string
  readonly contract: string
  readonly purpose: string
  readonly legalBasis: string
  readonly field?: readonly string[]
  readonly source?: string
}

const NO = 3

/** Every grant of a party under a query contract, and why it covers what would be asked or not. Exit code 3: none does. */
export async function why(options: WhyOptions): Promise<number> {
  const { party, contract, purpose, legalBasis, source } = options
  const contracts = loadContracts(PROJECT_ROOT)
  const answers = contracts.get(contract)?.answers
  if (answers === undefined) throw new HubError('contract.unknown')
  const datasets = answers.parts.map(({ document }) => contracts.get(document)?.dataset)
  const asked = {
    contract,
    allowed: answers,
    datasets,
    purpose,
    legalBasis,
    fields: options.field,
    source,
    atMs: systemClock(),
  }
  const judged = await withDb(async (db) => {
    const register = await openRegister(db, steadyClock)
    try {
      return judgeGrants(register.grants(party, contract), asked)
    } finally {
      register.close()
    }
  })
  for (const { grant, reasons } of judged) {
    const { id, fields, legalBases, networks, caps, agreement } = grant
    printJson({
      grant: id,
      covers: reasons.length === 0,
      reasons: reasons.map(({ rule, message }) => ({ rule, ...message })),
      purpose: grant.purpose,
      legalBases,
      fields,
      networks,
      caps,
      agreement,
      datasets,
      validFrom: new Date(grant.validFromMs),
      validTo: grant.validToMs === undefined ? null : new Date(grant.validToMs),
    })
  }
  const isCovered = judged.some(({ reasons }) => reasons.length === 0)
  if (judged.length === 0) say(`${party} has no grant for ${contract}`)
  return isCovered ? 0 : NO
}
