/**
 * Whether an RSA modulus bears the mark of CVE-2017-15361 (ROCA, Nemec et al., CCS 2017): the faulty library made
 * primes of the form k·M + (65537^a mod M), so that such a modulus is a power of 65537 modulo every small prime of M.
 * A sound modulus bears it by chance once in 2·10^8 keys.
 */
export function hasRocaFingerprint(modulus: bigint): boolean {
  return ROCA_PRIMES.every((prime) => powersOf65537(prime).has(Number(modulus % BigInt(prime))))
}

const ROCA_PRIMES = [
  3, 5, 7, 11, 13, 17, 19, 23, 29, 31, 37, 41, 43, 47, 53, 59, 61, 67, 71, 73, 79, 83, 89, 97, 101, 103, 107, 109, 113,
  127, 131, 137, 139, 149, 151, 157, 163, 167,
]

function powersOf65537(prime: number): Set<number> {
  const powers = new Set<number>()
  for (let power = 1; !powers.has(power); power = (power * 65537) % prime) powers.add(power)
  return powers
}
