import { createHmac, createPublicKey } from 'node:crypto'
import { base64url, type Entry, exchangeClaims, forge, headerOf, type Keys, signParts, type TestKey } from './forge.ts'

const ALPHABET = 'ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_'

/** The same bytes in another spelling: the unused low bits of the last character set. */
function bumpLast(part: string): string {
  return part.slice(0, -1) + ALPHABET.charAt(ALPHABET.indexOf(part.charAt(part.length - 1)) + 1)
}

/** JSON text with as many spaces behind it as make its base64url end in a partly used character. */
function unaligned(value: object): string {
  const text = JSON.stringify(value)
  return text + ' '.repeat(Buffer.byteLength(text) % 3 === 0 ? 1 : 0)
}

/** Tokens that are wrong as text, before any JSON is read. */
export function malformedText(keys: Keys): Entry[] {
  const key = keys.ed25519
  const good = forge(key)
  const [header = '', payload = '', signature = ''] = good.split('.')
  const spelledHeader = base64url(unaligned(headerOf(key)))
  const spelledPayload = base64url(unaligned(exchangeClaims(key.party)))
  const flattened = JSON.stringify({ protected: header, payload, signature })
  const general = JSON.stringify({ payload, signatures: [{ protected: header, signature }] })
  const withBoth = forge(key, { claims: { sub: '~~~???>>>~~~???>>>' } })
  const texts: Record<string, string> = {
    'empty text': '',
    'one part': header,
    'two parts': `${header}.${payload}`,
    'four parts': `${good}.${signature}`,
    'five parts, as a JWE': `${header}.${payload}.${signature}.${payload}.${signature}`,
    'only dots': '..',
    'empty header': `.${payload}.${signature}`,
    'empty payload (detached)': `${header}..${signature}`,
    'empty signature': `${header}.${payload}.`,
    'alg none with an empty signature': `${base64url(JSON.stringify({ ...headerOf(key), alg: 'none' }))}.${payload}.`,
    'trailing newline': `${good}\n`,
    'trailing carriage return and newline': `${good}\r\n`,
    'trailing space': `${good} `,
    'leading space': ` ${good}`,
    'leading newline': `\n${good}`,
    'newline between parts': `${header}.\n${payload}.${signature}`,
    'tab within a part': `${header}.${payload.slice(0, 8)}\t${payload.slice(8)}.${signature}`,
    'second line with a second token': `${good}\n${good}`,
    'Bearer prefix': `Bearer ${good}`,
    'leading byte order mark': `\uFEFF${good}`,
    'U+0000 behind the token': `${good}\u0000`,
    'quoted token': `"${good}"`,
    'full-width dot': `${header}．${payload}.${signature}`,
    'percent-encoded dot': `${header}%2E${payload}.${signature}`,
    'letter outside ASCII that folds to k': `${header}.${payload}.${signature.slice(1)}\u212A`,
    'padding in the header': signParts(key, `${header}=`, payload),
    'padding in the payload': signParts(key, header, `${payload}==`),
    'padding in the signature': `${good}==`,
    'standard base64 alphabet': withBoth.replaceAll('-', '+').replaceAll('_', '/'),
    'non-canonical last character of the header': signParts(key, bumpLast(spelledHeader), payload),
    'non-canonical last character of the payload': signParts(key, header, bumpLast(spelledPayload)),
    'non-canonical last character of the signature': bumpLast(good),
    'signature part of impossible length': `${good}AAA`,
    'payload part of impossible length': signParts(key, header, `${base64url('{"a":1}  ')}A`),
    'flattened JSON serialisation': flattened,
    'general JSON serialisation': general,
    'URL in place of a token': 'https://hub.example/token',
  }
  return [
    ...Object.entries(texts).map(([name, token]) => ({ name, expected: 'token.malformed', token })),
    {
      name: 'larger than the cap',
      expected: 'token.too_large',
      token: forge(key, { claims: { data: { note: '字'.repeat(4200) } } }),
    },
  ]
}

/** Tokens whose header is the attack. All are signed over the header as it stands. */
export function hostileHeaders(keys: Keys): Entry[] {
  return [...forbiddenParameters(keys), ...headerMembers(keys), ...algorithms(keys), ...headerText(keys.ed25519)]
}

function forbiddenParameters({ ed25519: key, stranger }: Keys): Entry[] {
  const parameters: Record<string, unknown> = {
    jku: 'https://attacker.example/jwks.json',
    x5u: 'https://attacker.example/chain.pem',
    x5c: ['MIIBszCCAVmgAwIBAgIU'],
    x5t: 'dGh1bWJwcmludA',
    'x5t#S256': 'dGh1bWJwcmludA',
    jwk: key.publicJwk,
    b64: false,
    zip: 'DEF',
    enc: 'A128GCM',
    epk: stranger.publicJwk,
    iss: key.party,
    p2c: 1_000_000_000,
    ALG: 'none',
  }
  return [
    ...Object.entries(parameters).map(([name, value]) => ({
      name: `header parameter ${name}`,
      expected: 'token.header_forbidden',
      token: forge(key, { header: { [name]: value } }),
    })),
    {
      name: 'crit with b64, payload not encoded',
      expected: 'token.header_forbidden',
      token: forge(key, { header: { crit: ['b64'], b64: false } }),
    },
    {
      name: 'crit with an unknown extension',
      expected: 'token.header_forbidden',
      token: forge(key, { header: { crit: ['exp'], exp: 1 } }),
    },
    { name: 'empty crit', expected: 'token.header_forbidden', token: forge(key, { header: { crit: [] } }) },
    {
      name: "the attacker's own key embedded as jwk, with its kid",
      expected: 'token.header_forbidden',
      token: forge(stranger, { header: { jwk: stranger.publicJwk }, claims: { iss: key.party } }),
    },
  ]
}

function headerMembers({ ed25519: key, es256, stranger }: Keys): Entry[] {
  const entry = (name: string, expected: string, header: Record<string, unknown>): Entry => ({
    name,
    expected,
    token: forge(key, { header }),
  })
  return [
    entry('kid missing', 'token.malformed', { kid: undefined }),
    entry('kid empty', 'token.malformed', { kid: '' }),
    entry('kid a number', 'token.malformed', { kid: 7 }),
    entry('kid null', 'token.malformed', { kid: null }),
    entry('kid of nine thousand characters', 'token.malformed', { kid: 'k'.repeat(9_000) }),
    entry('kid unknown', 'token.key_unknown', { kid: 'NzbLsXh8uDCcd-6MNwXF4W_7noWXFZAfHkxZsRGC9Xs' }),
    entry('kid a path', 'token.key_unknown', { kid: '../../../../dev/null' }),
    entry('kid an SQL fragment', 'token.key_unknown', { kid: "x' OR '1'='1" }),
    entry('kid a member of Object.prototype', 'token.key_unknown', { kid: 'constructor' }),
    entry('kid with other letter case', 'token.key_unknown', { kid: key.kid.toLowerCase() }),
    entry('kid of another party', 'token.key_foreign', { kid: es256.kid }),
    entry('typ missing', 'token.malformed', { typ: undefined }),
    entry('typ empty', 'token.malformed', { typ: '' }),
    entry('typ a list', 'token.malformed', { typ: ['exchange+jwt'] }),
    entry('typ JWT', 'token.type_wrong', { typ: 'JWT' }),
    entry('typ in other letter case', 'token.type_wrong', { typ: 'Exchange+JWT' }),
    entry('typ with application/', 'token.type_wrong', { typ: 'application/exchange+jwt' }),
    entry('typ with a trailing space', 'token.type_wrong', { typ: 'exchange+jwt ' }),
    entry('typ of another door', 'token.type_wrong', { typ: 'query+jwt' }),
    entry('typ of a receipt', 'token.type_wrong', { typ: 'receipt+jwt' }),
    entry('cty a number', 'token.malformed', { cty: 1 }),
    entry('cty is tolerated', 'accepted', { cty: 'application/json' }),
    {
      name: 'a registered party signs with its own key for another iss',
      expected: 'token.key_foreign',
      token: forge(stranger, { claims: { iss: key.party } }),
    },
  ]
}

function algorithms({ ed25519, es256, ps256 }: Keys): Entry[] {
  const hmac = (secret: string | Buffer, hash: string) => (input: string) =>
    createHmac(hash, secret).update(input).digest()
  const pem = createPublicKey({ key: { ...ps256.publicJwk }, format: 'jwk' }).export({ type: 'spki', format: 'pem' })
  const entry = (name: string, key: TestKey, alg: unknown, expected: string): Entry => ({
    name,
    expected,
    token: forge(key, { header: { alg } }),
  })
  return [
    entry('alg none with a signature', ed25519, 'none', 'token.algorithm_wrong'),
    entry('alg None', ed25519, 'None', 'token.algorithm_wrong'),
    entry('alg NONE', es256, 'NONE', 'token.algorithm_wrong'),
    {
      name: 'HS256 with the public PEM as its secret',
      expected: 'token.algorithm_wrong',
      token: forge(ps256, { header: { alg: 'HS256' }, signature: hmac(pem, 'sha256') }),
    },
    {
      name: 'HS256 with the public JWK as its secret',
      expected: 'token.algorithm_wrong',
      token: forge(es256, { header: { alg: 'HS256' }, signature: hmac(JSON.stringify(es256.publicJwk), 'sha256') }),
    },
    {
      name: 'HS512 with an empty secret',
      expected: 'token.algorithm_wrong',
      token: forge(ed25519, { header: { alg: 'HS512' }, signature: hmac('', 'sha512') }),
    },
    entry('alg in lower case', es256, 'es256', 'token.algorithm_wrong'),
    entry('alg of another key type', ed25519, 'ES256', 'token.algorithm_wrong'),
    entry('alg EdDSA on a P-256 key', es256, 'EdDSA', 'token.algorithm_wrong'),
    entry('alg ES256K', es256, 'ES256K', 'token.algorithm_wrong'),
    entry('alg ES384', es256, 'ES384', 'token.algorithm_wrong'),
    entry('alg PS384', ps256, 'PS384', 'token.algorithm_wrong'),
    entry('alg Ed448', ed25519, 'Ed448', 'token.algorithm_wrong'),
    entry('alg missing', ed25519, undefined, 'token.malformed'),
    entry('alg empty', ed25519, '', 'token.malformed'),
    entry('alg null', ed25519, null, 'token.malformed'),
    entry('alg a list', ed25519, ['Ed25519'], 'token.malformed'),
    entry('alg Ed25519 in its older spelling EdDSA', ed25519, 'EdDSA', 'accepted'),
  ]
}

function headerText(key: TestKey): Entry[] {
  const { alg, kid, typ } = headerOf(key)
  const good = JSON.stringify({ alg, kid, typ })
  const texts: Record<string, string | Buffer> = {
    'header with alg twice': `{"alg":"none",${good.slice(1)}`,
    'header with kid twice, once escaped': `{"\\u006bid":"${kid}",${good.slice(1)}`,
    'header a list': `[${good}]`,
    'header a string': '"header"',
    'header null': 'null',
    'header with a byte order mark': `\uFEFF${good}`,
    'header not UTF-8': Buffer.concat([Buffer.from(good.slice(0, -1)), Buffer.from(',"cty":"'), Buffer.from([0xff, 0x22, 0x7d])]),
    'header with text behind it': `${good}{}`,
    'header with a comment': `${good.slice(0, -1)}/* */}`,
    'header with __proto__': `{"__proto__":{"alg":"none"},${good.slice(1)}`,
    'header with a lone surrogate': `${good.slice(0, -1)},"cty":"\\ud800"}`,
    'header with U+0000': `${good.slice(0, -1)},"cty":"a\\u0000b"}`,
    'header cut off': good.slice(0, -1),
  }
  return Object.entries(texts).map(([name, text]) => ({
    name,
    expected: 'token.malformed',
    token: forge(key, { headerText: text }),
  }))
}
