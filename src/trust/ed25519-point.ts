/**
 * Whether 32 bytes encode a point of edwards25519 that is fit for a public key (RFC 8032 §5.1.3). OpenSSL imports any
 * 32 bytes: an off-curve key would fail at every use, and under a key of small order one signature fits many messages.
 */
export function isSoundEd25519Point(bytes: Buffer): boolean {
  const encoded = BigInt(`0x${Buffer.from(bytes).reverse().toString('hex')}`)
  const y = encoded & ((1n << 255n) - 1n)
  if (y >= P) return false
  const u = mod(y * y - 1n)
  const v = mod(D * y * y + 1n)
  // v is never 0: −1/d is not a square modulo p. x² = u/v has a root exactly when u·v is a square or 0.
  const euler = power(mod(u * v), (P - 1n) / 2n)
  if (euler !== 0n && euler !== 1n) return false
  return !hasSmallOrder(u, v, y)
}

const P = (1n << 255n) - 19n
const D = mod(-121665n * power(121666n, P - 2n))

/**
 * Order 1, 2, 4 or 8. Doubling depends on x² and y alone as far as y(2P) goes:
 * y(2P) = (y² + x²) / (2 − y² + x²), and a point has order dividing 8 exactly when y(4P) is ±1.
 */
function hasSmallOrder(u: bigint, v: bigint, y: bigint): boolean {
  const x2 = mod(u * power(v, P - 2n))
  const first = doubleY(x2, mod(y * y))
  const firstSquared = mod(first * first)
  const second = doubleY(xSquared(firstSquared), firstSquared)
  return second === 1n || second === P - 1n
}

const doubleY = (x2: bigint, y2: bigint): bigint => mod((y2 + x2) * power(mod(2n - y2 + x2), P - 2n))

const xSquared = (y2: bigint): bigint => mod((y2 - 1n) * power(mod(D * y2 + 1n), P - 2n))

function mod(value: bigint): bigint {
  const rest = value % P
  return rest < 0n ? rest + P : rest
}

function power(base: bigint, exponent: bigint): bigint {
  let result = 1n
  let square = base
  for (let rest = exponent; rest > 0n; rest >>= 1n) {
    if (rest & 1n) result = mod(result * square)
    square = mod(square * square)
  }
  return result
}
