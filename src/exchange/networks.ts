import { BlockList, isIP } from 'node:net'

/** Whether an IP address lies in one of these CIDR blocks (RFC 4632, RFC 4291). What is no address lies in none. */
export function createNetworks(blocks: readonly string[]): (address: string) => boolean {
  const list = new BlockList()
  for (const block of blocks) {
    const [base = '', bits = ''] = block.split('/')
    list.addSubnet(base, Number(bits), familyOf(base))
  }
  return (address) => isIP(address) !== 0 && list.check(address, familyOf(address))
}

const familyOf = (address: string): 'ipv4' | 'ipv6' => (isIP(address) === 6 ? 'ipv6' : 'ipv4')
