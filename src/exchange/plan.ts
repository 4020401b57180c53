import type { Contract, RoutingTarget } from '#contracts/contract.ts'
import { documentIdentity } from '#contracts/formats.ts'
import { newDeliveryId } from '#kernel/ids.ts'
import { atPointer, isJsonObject } from '#kernel/json.ts'
import type { DeliveryRow, DocumentRow } from '#store/log-commit.ts'
import type { ExchangeClaims } from '#trust/claims.ts'
import { aliasesIn, type Digests } from './digests.ts'
import type { PartyRegister } from './party-register.ts'

/** Where an exchange goes when nobody can be named yet: it waits under these aliases. */
type Destination =
  | { readonly recipient: string }
  | { readonly unrouted: true; readonly fallbackDivision: string | undefined }

/**
 * One delivery row per recipient that the contract's routing names (DESIGN §7). Nobody gets back what it sent, and
 * nobody gets it twice.
 */
export function planDeliveries(
  contract: Contract,
  claims: ExchangeClaims,
  digests: Digests,
  register: PartyRegister,
  nowMs: number,
): DeliveryRow[] {
  const senders = new Set([claims.iss, claims.obo])
  const recipients = new Set<string>()
  const rows: DeliveryRow[] = []
  const deliverByMs = nowMs + contract.deliverBySeconds * 1000
  for (const target of contract.routing.flatMap((one) => each(one, claims))) {
    const found = destination(target, claims, register, nowMs)
    if (found === undefined) continue
    const id = newDeliveryId(nowMs)
    if ('recipient' in found) {
      if (senders.has(found.recipient) || recipients.has(found.recipient)) continue
      recipients.add(found.recipient)
      rows.push({
        id,
        recipient: found.recipient,
        state: 'accepted',
        aliasKeys: [],
        fallbackDivision: undefined,
        deliverByMs,
      })
    } else {
      const aliases = aliasesIn(contract.aliases, claims.data, claims.obo ?? claims.iss)
      const aliasKeys = target.to === 'case-utility' ? aliases.map(digests.alias) : []
      rows.push({
        id,
        recipient: undefined,
        state: 'unrouted',
        aliasKeys,
        fallbackDivision: found.fallbackDivision,
        deliverByMs,
      })
    }
  }
  return rows
}

/** A pointer may lead to a list of party ids: then each of them is a recipient. */
function each(target: RoutingTarget, { data }: ExchangeClaims): RoutingTarget[] {
  const list = target.to === 'pointer' ? atPointer(data, target.pointer) : undefined
  if (target.to !== 'pointer' || !Array.isArray(list)) return [target]
  return list.map((_, i) => ({ ...target, pointer: `${target.pointer}/${i}` }))
}

function destination(
  target: RoutingTarget,
  claims: ExchangeClaims,
  register: PartyRegister,
  nowMs: number,
): Destination | undefined {
  const textAt = (pointer: string): string | undefined => {
    const value = atPointer(claims.data, pointer)
    return typeof value === 'string' ? value : undefined
  }
  switch (target.to) {
    case 'none':
      return undefined
    case 'case-utility':
      return {
        unrouted: true,
        fallbackDivision: target.fallbackDivision === undefined ? undefined : textAt(target.fallbackDivision),
      }
    case 'division-utility': {
      const division = textAt(target.division)
      return named(division === undefined ? undefined : register.utilityOf(division, nowMs), division)
    }
    case 'division-platform': {
      const division = textAt(target.division)
      return named(division === undefined ? undefined : register.platformOf(division), undefined)
    }
    case 'pointer': {
      const party = textAt(target.pointer)
      // A member that may be absent names nobody then.
      if (party === undefined) return undefined
      return named(register.party(party) !== undefined ? party : undefined, undefined)
    }
  }
}

const named = (recipient: string | undefined, fallbackDivision: string | undefined): Destination =>
  recipient === undefined ? { unrouted: true, fallbackDivision } : { recipient }

/** All but where its data stands. */
export type ProjectedDocument = Omit<DocumentRow, 'pointer' | 'data' | 'tokenDigest'>

/** The projection of a document that is committed with its exchange; undefined for other kinds. */
export function projectDocument(
  contract: Contract,
  claims: Pick<ExchangeClaims, 'data' | 'sub' | 'iat'>,
  digests: Digests,
): ProjectedDocument | undefined {
  const pointers = contract.document
  if (pointers === undefined) return undefined
  const textAt = (pointer: string | undefined): string | undefined => {
    const value = pointer === undefined ? undefined : atPointer(claims.data, pointer)
    return typeof value === 'string' ? value : undefined
  }
  const { list, codeType, code } = pointers.holders
  const listed = list === undefined ? [claims.data] : atPointer(claims.data, list)
  const holders = (Array.isArray(listed) ? listed : []).filter(isJsonObject).flatMap((holder) => {
    const [type, value] = [atPointer(holder, codeType), atPointer(holder, code)]
    return typeof type === 'string' && typeof value === 'string' ? [digests.subject(type, value)] : []
  })
  const lookups = [pointers.key, ...pointers.otherKeys].flatMap((pointer) => {
    const value = textAt(pointer)
    return value === undefined ? [] : [digests.lookup(contract.ref, value)]
  })
  return {
    contract: contract.ref,
    identifier: documentIdentity(textAt(pointers.identifier) ?? claims.sub),
    version: textAt(pointers.version) ?? '',
    status: pointers.statuses[textAt(pointers.status) ?? ''] ?? 'OTHER',
    statusAt: textAt(pointers.statusTime) ?? new Date(claims.iat * 1000).toISOString(),
    validTo: textAt(pointers.validTo),
    holderKeys: [...new Set([...holders, ...lookups])],
  }
}
