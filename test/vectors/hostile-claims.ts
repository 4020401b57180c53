import { type Entry, exchangeClaims, forge, HUB_ID, HUB_TIME, type Keys, type TestKey } from './forge.ts'

/** Payloads that a lenient JSON parser would let through, or read otherwise than the sender's. All are signed. */
export function hostilePayloads({ ed25519: key }: Keys): Entry[] {
  const good = JSON.stringify(exchangeClaims(key.party))
  const inData = (text: string): string => good.replace('"data":{', `"data":{${text},`)
  const broken = (bytes: number[]): Buffer => {
    const [before = '', after = ''] = inData('"x":"@"').split('@')
    return Buffer.concat([Buffer.from(before), Buffer.from(bytes), Buffer.from(after)])
  }
  const nested = (depth: number): string => inData(`"deep":${'['.repeat(depth)}${']'.repeat(depth)}`)
  const texts: Record<string, string | Buffer> = {
    'iss twice': `{"iss":"${key.party}",${good.slice(1)}`,
    'jti twice with different values': `{"jti":"0193f3a2-vector-9999",${good.slice(1)}`,
    'exp twice, once escaped': `{"\\u0065xp":9999999999,${good.slice(1)}`,
    'duplicate member in data': inData('"result":"不予许可"'),
    'duplicate member three levels down': inData('"a":{"b":{"c":1,"c":2}}'),
    'duplicate member in an object of a list': inData('"list":[{"a":1},{"b":1,"b":1}]'),
    'duplicate empty names': inData('"a":{"":1,"":2}'),
    'payload with a byte order mark': `\uFEFF${good}`,
    'payload with text behind it': `${good} true`,
    'two payloads': `${good}${good}`,
    'trailing comma': `${good.slice(0, -1)},}`,
    'single quotes': good.replaceAll('"', "'"),
    'comment in the payload': `${good.slice(0, -1)}/**/}`,
    'raw newline in a string': inData('"x":"a\nb"'),
    NaN: inData('"x":NaN'),
    Infinity: inData('"x":Infinity'),
    'hexadecimal number': inData('"x":0x10'),
    'number with a leading zero': inData('"x":010'),
    'number with a plus sign': inData('"x":+1'),
    'number that overflows (1e999)': inData('"x":1e999'),
    'negative number that overflows': inData('"x":-1e999'),
    'exp of 1e400': good.replace(/"exp":\d+/, '"exp":1e400'),
    'integer 2^53': inData('"x":9007199254740992'),
    'integer −2^53': inData('"x":-9007199254740992'),
    'integer 2^53 written as 9.007199254740992e15': inData('"x":9.007199254740992e15'),
    'integer of thirty digits': inData('"x":123456789012345678901234567890'),
    'byte 0xff': broken([0xff]),
    'overlong UTF-8': broken([0xc0, 0xaf]),
    'surrogate encoded as UTF-8': broken([0xed, 0xa0, 0x80]),
    'UTF-8 sequence cut off': broken([0xe7, 0x94]),
    'code point above U+10FFFF': broken([0xf4, 0x90, 0x80, 0x80]),
    'lone high surrogate': inData('"x":"\\ud83d"'),
    'lone low surrogate': inData('"x":"\\ude00 "'),
    'surrogates in the wrong order': inData('"x":"\\ude00\\ud83d"'),
    'lone surrogate in a name': inData('"\\ud800":1'),
    'U+0000 in a value': inData('"x":"a\\u0000b"'),
    'U+0000 in a name': inData('"a\\u0000b":1'),
    '__proto__ in the claims': `{"__proto__":{"admin":true},${good.slice(1)}`,
    '__proto__ in data': inData('"x":{"__proto__":{"admin":true}}'),
    '__proto__ escaped': inData('"\\u005f_proto__":1'),
    'nested 33 deep': nested(31),
    'nested 3,000 deep': nested(3_000),
    'nested 4,000 objects deep, unclosed': `${'{"a":'.repeat(1_600)}`,
    'payload a list': `[${good}]`,
    'payload a string': JSON.stringify(good),
    'payload null': 'null',
    'payload a number': '1',
    'payload true': 'true',
    'payload of white space': '   ',
    'payload itself base64url': Buffer.from(good).toString('base64url'),
  }
  return [
    ...Object.entries(texts).map(([name, payload]) => ({
      name,
      expected: 'token.malformed',
      token: forge(key, { payload }),
    })),
    { name: 'nested 32 deep is allowed', expected: 'accepted', token: forge(key, { payload: nested(30) }) },
    { name: 'integer 2^53−1 is allowed', expected: 'accepted', token: forge(key, { payload: inData('"x":9007199254740991') }) },
    { name: 'paired surrogates are allowed', expected: 'accepted', token: forge(key, { payload: inData('"x":"\\ud83d\\ude00"') }) },
    { name: 'white space around the payload is allowed', expected: 'accepted', token: forge(key, { payload: ` ${good}\n` }) },
  ]
}

/** Well-formed, rightly signed tokens whose claims break the closed set. */
export function hostileClaims({ ed25519: key }: Keys): Entry[] {
  const wrong = (name: string, claims: Record<string, unknown>): Entry => ({
    name,
    expected: 'token.claims_invalid',
    token: forge(key, { claims }),
  })
  const missing = ['aud', 'iat', 'exp', 'jti', 'contract', 'sub', 'data'].map((name) =>
    wrong(`${name} missing`, { [name]: undefined }),
  )
  return [
    ...missing,
    wrong('aud a list with this hub alone', { aud: [HUB_ID] }),
    wrong('aud a list with extras', { aud: ['other.hub', HUB_ID] }),
    wrong('aud empty', { aud: '' }),
    wrong('exp a string', { exp: `${HUB_TIME + 295}` }),
    wrong('exp a fraction', { exp: HUB_TIME + 295.5 }),
    wrong('exp negative', { exp: -1 }),
    wrong('exp null', { exp: null }),
    wrong('exp in milliseconds', { exp: (HUB_TIME + 295) * 1000 }),
    wrong('iat a string', { iat: `${HUB_TIME}` }),
    wrong('iat an ISO time', { iat: '2026-11-20T02:00:00Z' }),
    wrong('nbf a string', { nbf: `${HUB_TIME}` }),
    wrong('jti of seven characters', { jti: 'abcdefg' }),
    wrong('jti of 65 characters', { jti: 'a'.repeat(65) }),
    wrong('jti with a slash', { jti: 'abcdefg/h' }),
    wrong('jti with a space', { jti: 'abcdefg h' }),
    wrong('jti with a newline behind it', { jti: 'abcdefgh\n' }),
    wrong('jti outside ASCII', { jti: '编号编号编号编号' }),
    wrong('jti a number', { jti: 12345678 }),
    wrong('sub empty', { sub: '' }),
    wrong('sub of 129 characters', { sub: 's'.repeat(129) }),
    wrong('sub with a newline', { sub: 'a\nb' }),
    wrong('sub an object', { sub: { id: 'a' } }),
    wrong('contract without a version', { contract: 'approval-result' }),
    wrong('contract of version 0', { contract: 'approval-result@0' }),
    wrong('contract with a minor version', { contract: 'approval-result@1.2' }),
    wrong('contract a path', { contract: '../../approval-result@1' }),
    wrong('data a list', { data: [] }),
    wrong('data a string', { data: '{}' }),
    wrong('data null', { data: null }),
    wrong('caseNo a number', { caseNo: 150100 }),
    wrong('caseNo null', { caseNo: null }),
    wrong('obo in capitals', { obo: 'PLATFORM' }),
    wrong('act an object', { act: { sub: 'intake' } }),
    wrong('supersedes a string', { supersedes: 'abcdefgh' }),
    wrong('supersedes without iss', { supersedes: { jti: 'abcdefgh' } }),
    wrong('supersedes with more', { supersedes: { iss: key.party, jti: 'abcdefgh', why: '更正' } }),
    wrong('unknown claim', { admin: true }),
    wrong('claim of another token type', { purpose: '办电' }),
    wrong('claim in other letter case', { Sub: 'a' }),
    wrong('claim named constructor', { constructor: 'a' }),
    { name: 'iss missing', expected: 'token.key_foreign', token: forge(key, { claims: { iss: undefined } }) },
    { name: 'iss a list', expected: 'token.key_foreign', token: forge(key, { claims: { iss: [key.party] } }) },
    { name: 'no claims at all', expected: 'token.key_foreign', token: forge(key, { payload: '{}' }) },
    ...accepted(key),
  ]
}

function accepted(key: TestKey): Entry[] {
  const claims: Record<string, Record<string, unknown>> = {
    'jti of eight characters': { jti: 'A.b_c~d-' },
    'jti of 64 characters': { jti: 'a'.repeat(64) },
    'sub of 128 characters': { sub: '号'.repeat(128) },
    'all optional claims': {
      obo: 'banner.vectors',
      act: 'table-intake',
      supersedes: { iss: key.party, jti: 'abcdefgh' },
      nbf: HUB_TIME - 5,
    },
    'without caseNo': { caseNo: undefined },
  }
  return Object.entries(claims).map(([name, change]) => ({
    name,
    expected: 'accepted',
    token: forge(key, { claims: change }),
  }))
}

/** PROTOCOL, Freshness, at its edges; and the audience. The corpus allows 600 s from iat to exp. */
export function hostileTimes({ ed25519: key }: Keys): Entry[] {
  const at = (name: string, expected: string, claims: Record<string, unknown>): Entry => ({
    name,
    expected,
    token: forge(key, { claims }),
  })
  return [
    at('aud of another environment', 'token.audience_wrong', { aud: 'hub.production' }),
    at('aud in other letter case', 'token.audience_wrong', { aud: HUB_ID.toUpperCase() }),
    at('aud with a space behind it', 'token.audience_wrong', { aud: `${HUB_ID} ` }),
    at('aud a list as one string', 'token.audience_wrong', { aud: `other.hub,${HUB_ID}` }),
    at('aud the URL of a hub', 'token.audience_wrong', { aud: 'https://hub.vectors/' }),
    at('exp long past', 'token.expired', { iat: HUB_TIME - 900, exp: HUB_TIME - 600 }),
    at('exp one second past', 'token.expired', { exp: HUB_TIME - 1 }),
    at('exp now: there is no leeway', 'token.expired', { exp: HUB_TIME }),
    at('exp 0', 'token.expired', { exp: 0 }),
    at('exp in one second', 'accepted', { exp: HUB_TIME + 1 }),
    at('iat 31 s ahead', 'token.not_yet_valid', { iat: HUB_TIME + 31 }),
    at('iat a day ahead', 'token.not_yet_valid', { iat: HUB_TIME + 86_400, exp: HUB_TIME + 86_700 }),
    at('iat 30 s ahead', 'accepted', { iat: HUB_TIME + 30 }),
    at('nbf 31 s ahead', 'token.not_yet_valid', { nbf: HUB_TIME + 31 }),
    at('nbf 30 s ahead', 'accepted', { nbf: HUB_TIME + 30 }),
    at('life of 601 s', 'token.lifetime_too_long', { iat: HUB_TIME - 1, exp: HUB_TIME + 600 }),
    at('life of a year', 'token.lifetime_too_long', { exp: HUB_TIME + 31_536_000 }),
    at('life of 600 s', 'accepted', { iat: HUB_TIME, exp: HUB_TIME + 600 }),
    at('exp before iat', 'token.lifetime_too_long', { iat: HUB_TIME + 20, exp: HUB_TIME + 10 }),
    at('exp equal to iat', 'token.lifetime_too_long', { iat: HUB_TIME + 20, exp: HUB_TIME + 20 }),
    at('iat 0', 'token.lifetime_too_long', { iat: 0 }),
  ]
}
