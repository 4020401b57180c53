import { isIP } from 'node:net'
import { createNetworks } from '#exchange/networks.ts'

/** The address of who really asks: the last one that no trusted proxy added to X-Forwarded-For. */
export type SourceAddress = (remote: string, forwardedFor: string | undefined) => string

export function createSourceAddress(trustedProxies: readonly string[]): SourceAddress {
  const isTrusted = createNetworks(trustedProxies)
  return (remote, forwardedFor) => {
    const hops = (forwardedFor?.split(',') ?? []).map((hop) => unmapped(hop.trim()))
    let source = unmapped(remote)
    while (isTrusted(source)) {
      const before = hops.pop()
      if (before === undefined || isIP(before) === 0) break
      source = before
    }
    return source
  }
}

/** An IPv4 address as it comes through an IPv6 socket (RFC 4291 §2.5.5.2) is that IPv4 address. */
const unmapped = (address: string): string => address.replace(/^::ffff:(?=\d+\.\d+\.\d+\.\d+$)/i, '')
