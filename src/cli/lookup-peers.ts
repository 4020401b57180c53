import path from 'node:path'
import { PROJECT_ROOT } from '#compose.ts'
import type { JsonObject } from '#kernel/json.ts'
import { readSeeds, type SeedData } from '#parties/seed-files.ts'
import { identityService, type RegisteredPerson } from '#sandbox/identity-service.ts'
import { licenceLibrary } from '#sandbox/licence-library.ts'
import { type LookUpPeer, startLookUpPeer } from '#sandbox/lookup-peer.ts'

interface Where {
  readonly host?: string
  readonly port?: number
}

/** The scripted systems that are only asked, by the name of their endpoint. They know what the seeds tell. */
export const LOOK_UP_PEERS: Readonly<Record<string, (where?: Where) => Promise<LookUpPeer>>> = Object.freeze({
  'licence-library': (where: Where = {}) =>
    startLookUpPeer({ dialect: licenceLibrary(seeds().licences.map(({ data }) => data)), ...where }),
  'identity-service': (where: Where = {}) => startLookUpPeer({ dialect: identityService(people()), ...where }),
})

let read: SeedData | undefined
/** Read once for all of them. */
const seeds = (): SeedData => (read ??= readSeeds(path.join(PROJECT_ROOT, 'seeds')))

const people = (): RegisteredPerson[] =>
  seeds()
    .applications.map(({ data }) => data['applicant'] as JsonObject)
    .filter(({ idTypeCode }) => idTypeCode === '111')
    .map(({ name, idNumber }) => ({ name: String(name), idNumber: String(idNumber) }))
