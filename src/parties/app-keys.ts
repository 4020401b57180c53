import { randomBytes } from 'node:crypto'
import { isIP } from 'node:net'
import { HubError, violated } from '#kernel/errors.ts'
import { insertAppKey, revokeAppKey } from '#store/app-key-queries.ts'
import type { Db } from '#store/db.ts'
import { partyExists } from '#store/party-queries.ts'
import { insertRegisterAct } from '#store/register-act-queries.ts'
import type { SignMethod } from '#trust/mac.ts'
import type { Changer } from './keys.ts'

export interface NewAppKey {
  readonly party: string
  readonly method: SignMethod
  /** CIDR blocks that its requests come from; at least one. */
  readonly networks: readonly string[]
  /** Undefined: whatever its party may send. */
  readonly contracts: readonly string[] | undefined
}

/** Registers an AppKey under a new id and returns that. Throws `party.unknown`, `key.refused`. */
export async function addAppKey(db: Db, key: NewAppKey, changer: Changer): Promise<string> {
  if (key.networks.length === 0 || !key.networks.every(isNetwork)) {
    throw violated(
      'key.refused',
      '/networks',
      'networks',
      '须给出来源网络，如 10.20.0.0/24：主机位为零，IPv4 不宽于 /8，IPv6 不宽于 /16',
      'needs the networks that it is used from, such as 10.20.0.0/24: host bits zero, no wider than /8 (IPv6 /16)',
    )
  }
  const id = `ak-${randomBytes(12).toString('hex')}`
  await db.transaction().execute(async (tx) => {
    if (!(await partyExists(tx, key.party))) throw new HubError('party.unknown')
    const { party, method, networks, contracts } = key
    await insertAppKey(tx, { id, party, method, networks: [...networks], contracts: contracts?.slice() ?? null })
    await insertRegisterAct(tx, { ...changer, act: 'appkey added', party, kid: id })
  })
  return id
}

/** Ends an AppKey for ever; every gateway follows within 5 s. Throws `key.refused`. Returns its party. */
export function endAppKey(db: Db, id: string, changer: Changer): Promise<string> {
  return db.transaction().execute(async (tx) => {
    const party = await revokeAppKey(tx, id)
    if (party === undefined) {
      throw new HubError('key.refused', { detail: { zh: `没有有效的 AppKey ${id}`, en: `no active AppKey ${id}` } })
    }
    await insertRegisterAct(tx, { ...changer, act: 'appkey revoked', party, kid: id })
    return party
  })
}

/** A CIDR block (RFC 4632, RFC 4291) that could be one party's, with no bits set behind its prefix. */
function isNetwork(block: string): boolean {
  const [base = '', bits = '', ...rest] = block.split('/')
  const family = isIP(base)
  if (family === 0 || rest.length > 0 || !/^[1-9]\d{0,2}$/.test(bits)) return false
  const [widest, size] = family === 4 ? [8, 32] : [16, 128]
  return Number(bits) >= widest && Number(bits) <= size && hostBitsAreZero(base, family, size - Number(bits))
}

function hostBitsAreZero(base: string, family: number, hostBits: number): boolean {
  const value = family === 4 ? ipv4Number(base) : ipv6Number(base)
  return value !== undefined && (value & ((1n << BigInt(hostBits)) - 1n)) === 0n
}

const ipv4Number = (address: string): bigint => address.split('.').reduce((sum, part) => (sum << 8n) | BigInt(part), 0n)

/** Without a zone and without an embedded IPv4 address: nobody writes a network so. */
function ipv6Number(address: string): bigint | undefined {
  if (/[%.]/.test(address)) return undefined
  const [left = '', right] = address.split('::')
  const groups = (text: string): string[] => (text === '' ? [] : text.split(':'))
  const missing = 8 - groups(left).length - groups(right ?? '').length
  const all = [
    ...groups(left),
    ...new Array<string>(right === undefined ? 0 : missing).fill('0'),
    ...groups(right ?? ''),
  ]
  return all.reduce((sum, part) => (sum << 16n) | BigInt(`0x${part}`), 0n)
}
