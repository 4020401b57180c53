import type { Proven } from '#exchange/prove.ts'
import { HubError } from '#kernel/errors.ts'
import type { JsonObject } from '#kernel/json.ts'
import type { Db } from '#store/db.ts'
import { insertEncryptionKey, insertPartyKey, type KeyState, partyExists } from '#store/party-queries.ts'
import { insertRegisterAct, setKeyState } from '#store/register-act-queries.ts'
import { importEncryptionJwk } from '#trust/encryption-keys.ts'
import { importPublicJwk } from '#trust/keys.ts'

/** The life of a key: from where an operator, or the proof of its holder, may take it. */
const KEY_STEPS = {
  active: ['pending'],
  'verify-only': ['active'],
  retired: ['verify-only'],
  revoked: ['pending', 'active', 'verify-only', 'retired'],
} as const satisfies Partial<Record<KeyState, readonly KeyState[]>>

/** Who changes the register, and why. */
export interface Changer {
  readonly by: string
  readonly reason?: string | undefined
}

/**
 * Registers a public JWK, pending until its holder proves that it has the private half. Throws `key.refused` for a weak
 * one (PROTOCOL, strict parse), or one that is registered already. Returns its kid.
 */
export async function addKey(
  db: Db,
  key: { readonly party: string; readonly agent?: string | undefined; readonly jwk: JsonObject },
  changer: Changer,
): Promise<string> {
  const { kid, jwk } = importPublicJwk(key.jwk)
  await db.transaction().execute(async (tx) => {
    const { party, agent } = key
    if (!(await partyExists(tx, party))) throw new HubError('party.unknown')
    if (!(await insertPartyKey(tx, { kid, party, agent, publicJwk: jwk, state: 'pending' }))) {
      throw new HubError('key.refused', {
        detail: {
          zh: `公钥 ${kid} 已登记；每一方使用自己的新密钥`,
          en: `the key ${kid} is registered already; every party brings a new one of its own`,
        },
      })
    }
    await insertRegisterAct(tx, { ...changer, act: 'key added', party, kid })
  })
  return kid
}

/**
 * Registers the key that values for a party are wrapped for from now on. Throws `key.refused` for a weak one or one that
 * is registered already, `party.unknown`. Returns its kid.
 */
export async function addEncryptionKey(db: Db, party: string, jwk: JsonObject, changer: Changer): Promise<string> {
  const { kid, jwk: publicJwk } = importEncryptionJwk(jwk)
  await db.transaction().execute(async (tx) => {
    if (!(await partyExists(tx, party))) throw new HubError('party.unknown')
    if (!(await insertEncryptionKey(tx, { kid, party, publicJwk }))) {
      throw new HubError('key.refused', {
        detail: { zh: `加密公钥 ${kid} 已登记`, en: `the encryption key ${kid} is registered already` },
      })
    }
    await insertRegisterAct(tx, { ...changer, act: 'encryption key added', party, kid })
  })
  return kid
}

/** The proof of possession: a pending key signed a fresh request for this hub. Repeating it changes nothing. */
export async function activateKey(db: Db, { party, token }: Proven): Promise<void> {
  const { kid } = token.header
  await db.transaction().execute(async (tx) => {
    if ((await setKeyState(tx, kid, 'active', KEY_STEPS.active)) === undefined) return
    await insertRegisterAct(tx, { by: party.id, act: 'key active', party: party.id, kid })
  })
}

/**
 * Takes a key a step further: `verify-only` still serves what was signed before, `retired` and `revoked` nothing; what
 * a revoked one signed since `revokedFrom` (default now) is in doubt. Throws
 * `key.refused` when it is in no state that leads there. Returns its party.
 */
export async function moveKey(
  db: Db,
  kid: string,
  to: 'verify-only' | 'retired' | 'revoked',
  changer: Changer,
  revokedFrom?: Date,
): Promise<string> {
  return db.transaction().execute(async (tx) => {
    const party = await setKeyState(tx, kid, to, KEY_STEPS[to], revokedFrom)
    if (party === undefined) {
      throw new HubError('key.refused', {
        detail: {
          zh: `没有处于 ${KEY_STEPS[to].join('、')} 状态的公钥 ${kid}`,
          en: `no key ${kid} in the state ${KEY_STEPS[to].join(' or ')}`,
        },
      })
    }
    const since = revokedFrom === undefined ? '' : ` from ${revokedFrom.toISOString()}`
    await insertRegisterAct(tx, { ...changer, act: `key ${to}${since}`, party, kid })
    return party
  })
}
