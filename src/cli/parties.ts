import { userInfo } from 'node:os'
import { steadyClock } from '#kernel/clock.ts'
import { HubError } from '#kernel/errors.ts'
import { leastUuidv7 } from '#kernel/ids.ts'
import { addEncryptionKey, addKey, type Changer, moveKey } from '#parties/keys.ts'
import { addParty, changeStatus } from '#parties/onboarding.ts'
import { openRegister } from '#parties/register.ts'
import { readPartyFile } from '#parties/seed-files.ts'
import { readRegister } from '#store/party-queries.ts'
import { exchangesSince, insertRegisterAct, registerActs, setPartyLimits } from '#store/register-act-queries.ts'
import { readJsonFile } from './json-file.ts'
import { printJson, say } from './output.ts'
import { withDb } from './with-store.ts'

const NO = 3

const changer = (reason?: string): Changer => ({ by: userInfo().username, reason })

/** Every party with its keys and limits, a JSON line each. */
export const listParties = (): Promise<void> =>
  withDb(async (db) => {
    const { parties, keys } = await readRegister(db)
    for (const { id, name_zh, name_en, name_aliases, level, roles, divisions, channel, status, ...party } of parties) {
      printJson({
        party: id,
        name: { zh: name_zh, en: name_en, aliases: name_aliases },
        level,
        roles,
        divisions,
        channel,
        status,
        limits: {
          perSecond: party.limit_per_second,
          bytesPerSecond: party.limit_bytes_per_second,
          inFlight: party.limit_in_flight,
        },
        keys: keys
          .filter((key) => key.party === id)
          .map(({ kid, state, state_since, revoked_from }) => ({ kid, state, state_since, revoked_from })),
      })
    }
  })

/** The party that has this id or name. Exit code 3: nobody has. */
export const find = (name: string): Promise<number> =>
  withDb(async (db) => {
    const register = await openRegister(db, steadyClock)
    const party = register.partyNamed(name)
    register.close()
    if (party === undefined) {
      say(`nobody is known as ${name}`)
      return NO
    }
    const { id, nameZh, nameEn, aliases, level, divisions, roles, status } = party
    printJson({ party: id, name: { zh: nameZh, en: nameEn, aliases }, level, divisions, roles, status })
    return 0
  })

/** What was done to a party's entry, by whom and why. */
export const showActs = (party: string): Promise<void> =>
  withDb(async (db) => {
    for (const act of await registerActs(db, party)) printJson(act)
  })

export const add = (file: string): Promise<void> =>
  withDb(async (db) => {
    const party = readPartyFile(file)
    await addParty(db, party, changer())
    say(`${party.id} registered; next: dianqiao party key-add ${party.id} <public.jwk>`)
  })

export const suspend = (party: string, reason: string): Promise<void> => change(party, 'suspended', reason)
export const resume = (party: string, reason: string): Promise<void> => change(party, 'active', reason)

async function change(party: string, status: 'active' | 'suspended', reason: string): Promise<void> {
  await withDb((db) => changeStatus(db, party, status, changer(reason)))
  say(`${party} ${status}; every gateway knows within 5 s`)
}

export interface LimitOptions {
  readonly perSecond?: number
  readonly bytesPerSecond?: number
  readonly inFlight?: number
}

/** Gives a party limits of its own; what is left out is the hub's default again. */
export const limit = (party: string, options: LimitOptions): Promise<void> =>
  withDb((db) =>
    db.transaction().execute(async (tx) => {
      const { perSecond = null, bytesPerSecond = null, inFlight = null } = options
      if (!(await setPartyLimits(tx, party, { perSecond, bytesPerSecond, inFlight })))
        throw new HubError('party.unknown')
      await insertRegisterAct(tx, { ...changer(), act: `limits ${JSON.stringify(options)}`, party })
    }),
  )

export const keyAdd = (party: string, file: string, agent: string | undefined): Promise<void> =>
  withDb(async (db) => {
    const kid = await addKey(db, { party, agent, jwk: readJsonFile(file) }, changer())
    printJson({ party, kid, state: 'pending' })
    say(`active once its holder has sent POST /v1/keys/proof, as dianqiao party conform does`)
  })

export const encryptionKey = (party: string, file: string): Promise<void> =>
  withDb(async (db) => {
    const kid = await addEncryptionKey(db, party, readJsonFile(file), changer())
    printJson({ party, kid, use: 'enc' })
    say(`what is personal is wrapped for it on the broker from now on; keep the older private keys to read the rest`)
  })

/** Moves a key on. A revocation `from` a time in the past lists what the party sent since then, a JSON line each. */
export const keyMove = (
  kid: string,
  to: 'verify-only' | 'retired' | 'revoked',
  options: { readonly reason: string; readonly from?: Date },
): Promise<void> =>
  withDb(async (db) => {
    const party = await moveKey(db, kid, to, changer(options.reason), options.from)
    say(`${kid} of ${party} is ${to}; every gateway knows within 5 s`)
    if (options.from === undefined) return
    const doubtful = await exchangesSince(db, party, leastUuidv7(options.from.getTime()))
    for (const { id, contract, accepted_at } of doubtful) printJson({ exchange: id, contract, acceptedAt: accepted_at })
    say(`${doubtful.length} exchanges of ${party} since ${options.from.toISOString()}: to be confirmed by the party`)
  })
