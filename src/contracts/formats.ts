import type { Bilingual } from './contract.ts'

/** What is wrong with a value (never the value itself), or undefined when nothing is. */
export type FormatCheck = (value: string) => Bilingual | undefined

const USCC_ALPHABET = '0123456789ABCDEFGHJKLMNPQRTUWXY'
/** Character code → value, −1 for what is not in the alphabet: this runs several times per exchange. */
const USCC_VALUES = Int8Array.from({ length: 128 }, (_, code) => USCC_ALPHABET.indexOf(String.fromCharCode(code)))
const USCC_WEIGHTS = [1, 3, 9, 27, 19, 26, 16, 17, 20, 29, 25, 13, 8, 24, 10, 30, 28]
const ORGANISATION_WEIGHTS = [3, 7, 9, 10, 5, 8, 4, 2]
const ALPHANUMERIC = '0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZ'

const fault = (zh: string, en: string): Bilingual => ({ zh, en })
const wrongLength = (wanted: number, got: number): Bilingual =>
  fault(`应为 ${wanted} 位，实为 ${got} 位`, `must have ${wanted} characters and has ${got}`)

/** Unified social credit code (GB 32100-2015): alphabet without I, O, S, V, Z and check character 18 (MOD 31). */
export function usccFault(value: string): Bilingual | undefined {
  if (value.length !== 18) return wrongLength(18, value.length)
  let sum = 0
  for (let i = 0; i < 18; i++) {
    const c = USCC_VALUES[value.charCodeAt(i)] ?? -1
    if (c < 0) {
      return fault(
        `第 ${i + 1} 位不在允许的字符内（数字与大写字母，不含 I、O、S、V、Z）`,
        `character ${i + 1} is not allowed (digits and capitals without I, O, S, V, Z)`,
      )
    }
    sum += c * (USCC_WEIGHTS[i] ?? 0)
  }
  const expected = USCC_ALPHABET.charAt((31 - (sum % 31)) % 31)
  if (value.charAt(17) === expected) return undefined
  return fault(
    `第 18 位校验码不符，按前 17 位应为 ${expected}`,
    `check character 18 is wrong: the first 17 characters call for ${expected}`,
  )
}

/** The inner check (GB 11714, character 17 of a USCC): only ever a warning, old registers break it. */
export function usccOrganisationPasses(value: string): boolean {
  const code = value.slice(8, 16)
  let sum = 0
  for (let i = 0; i < 8; i++) sum += ALPHANUMERIC.indexOf(code.charAt(i)) * (ORGANISATION_WEIGHTS[i] ?? 0)
  const check = 11 - (sum % 11)
  const expected = check === 10 ? 'X' : check === 11 ? '0' : String(check)
  return value.charAt(16) === expected
}

const ID_WEIGHTS = [7, 9, 10, 5, 8, 4, 2, 1, 6, 3, 7, 9, 10, 5, 8, 4, 2]
const ID_CHECKS = '10X98765432'

/**
 * 公民身份号码 (GB 11643-1999), 18 characters, x in either case. The birth date must be real and not after `nowMs`.
 * Area codes are not judged: abolished ones stay valid for life. The expected check character is never told.
 */
export function residentIdFault(value: string, nowMs: number): Bilingual | undefined {
  if (value.length === 15) {
    return fault('15 位号码已于 2013 年停用，应为 18 位', 'numbers of 15 digits were retired in 2013; 18 are required')
  }
  if (value.length !== 18) return wrongLength(18, value.length)
  let sum = 0
  for (let i = 0; i < 17; i++) {
    const digit = value.charCodeAt(i) - 48
    if (digit < 0 || digit > 9) return fault(`第 ${i + 1} 位应为数字`, `character ${i + 1} must be a digit`)
    sum += digit * (ID_WEIGHTS[i] ?? 0)
  }
  const born = realDateMs(value.slice(6, 14))
  if (born === undefined) return fault('第 7–14 位不是真实日期', 'characters 7–14 are not a real date')
  if (born > nowMs) return fault('第 7–14 位的出生日期晚于今天', 'characters 7–14 name a date in the future')
  if (value.charAt(17).toUpperCase() === ID_CHECKS.charAt(sum % 11)) return undefined
  return fault('第 18 位校验码不符', 'check character 18 is wrong')
}

/** The number of 18 characters for one of 15 digits, which left out the century (19) and the check (GB 11643-1999). */
export function residentIdOf18(digits15: string): string {
  const body = `${digits15.slice(0, 6)}19${digits15.slice(6)}`
  const sum = ID_WEIGHTS.reduce((total, weight, i) => total + weight * Number(body.charAt(i)), 0)
  return `${body}${ID_CHECKS.charAt(sum % 11)}`
}

/** A number in an old register: 18 characters, or the 15 digits that were valid until 2013. */
export function registerIdFault(value: string, nowMs: number): Bilingual | undefined {
  if (value.length !== 15) return residentIdFault(value, nowMs)
  const letter = value.search(/\D/)
  if (letter >= 0) return fault(`第 ${letter + 1} 位应为数字`, `character ${letter + 1} must be a digit`)
  const born = realDateMs(`19${value.slice(6, 12)}`)
  return born === undefined ? fault('第 7–12 位不是真实日期', 'characters 7–12 are not a real date') : undefined
}

function realDateMs(yyyymmdd: string): number | undefined {
  const [year, month, day] = [yyyymmdd.slice(0, 4), yyyymmdd.slice(4, 6), yyyymmdd.slice(6)].map(Number)
  const date = new Date(0)
  date.setUTCFullYear(year ?? 0, (month ?? 0) - 1, day ?? 0)
  return date.toISOString().slice(0, 10).replaceAll('-', '') === yyyymmdd && Number(year) >= 1800
    ? date.getTime()
    : undefined
}

const CERTIFICATE = /^1\.2\.156\.3005\.2\.[0-9A-Z]{21}\.[0-9A-Z]{2,32}\.[0-9A-Z]{1,40}\.\d{3}\.[0-9A-Z]$/
const CERTIFICATE_ROOT = '1.2.156.3005.2.'
const CERTIFICATE_PARTS = [
  {
    form: /^[0-9A-Z]{21}$/,
    zh: '证照类型代码应为 21 位数字或字母',
    en: 'the type code must have 21 digits or letters',
  },
  {
    form: /^[0-9A-Z]{2,32}$/,
    zh: '颁发机构代码应为 2–32 位数字或字母',
    en: 'the issuer must have 2–32 digits or letters',
  },
  { form: /^[0-9A-Z]{1,40}$/, zh: '流水号应为 1–40 位数字或字母', en: 'the serial must have 1–40 digits or letters' },
  { form: /^\d{3}$/, zh: '版本号应为 3 位数字', en: 'the version must have 3 digits' },
  { form: /^[0-9A-Z]$/, zh: '校验位应为 1 位数字或字母', en: 'the check character must be one digit or letter' },
]

/** 证照标识 (GB/T 36904-2018), structure only: inbound documents with a wrong check character do occur. */
export function certificateIdentifierFault(value: string): Bilingual | undefined {
  const text = value.toUpperCase()
  if (CERTIFICATE.test(text)) return undefined
  if (!text.startsWith(CERTIFICATE_ROOT)) {
    return fault('应以 1.2.156.3005.2. 开头', 'must start with 1.2.156.3005.2.')
  }
  const parts = text.slice(CERTIFICATE_ROOT.length).split('.')
  if (parts.length !== 5) {
    return fault(
      '根标识后应有 5 段：类型、颁发机构、流水号、版本、校验位',
      'the root must be followed by 5 parts: type, issuer, serial, version, check character',
    )
  }
  const wrong = CERTIFICATE_PARTS.find((part, i) => !part.form.test(parts[i] ?? ''))
  return wrong && fault(wrong.zh, wrong.en)
}

/**
 * What all versions of a document share: its identifier without version and check character, which change with every
 * version. What is no 证照标识 stays as it is.
 */
export function documentIdentity(identifier: string): string {
  const text = identifier.toUpperCase()
  return CERTIFICATE.test(text) ? text.slice(0, -'.000.0'.length) : identifier
}

/**
 * Check character of a certificate identifier (ISO 7064 MOD 37,36) over type, issuer, serial and version
 * concatenated, without the OID root and the dots.
 */
export function certificateCheckCharacter(typeIssuerSerialVersion: string): string {
  let product = 36
  for (const character of typeIssuerSerialVersion.toUpperCase()) {
    const sum = (product + ALPHANUMERIC.indexOf(character)) % 36 || 36
    product = (2 * sum) % 37
  }
  return ALPHANUMERIC.charAt((37 - product) % 36)
}

/** Whether the identifier ends in the right check character: an error when we mint it, a warning inbound. */
export function certificateCheckPasses(identifier: string): boolean {
  const parts = identifier.toUpperCase().slice(CERTIFICATE_ROOT.length).split('.')
  const check = parts.pop()
  return check === certificateCheckCharacter(parts.join(''))
}

/** Division code (GB/T 2260), six digits, structure only: zones outside the standard are used as counties. */
export function divisionCodeFault(value: string): Bilingual | undefined {
  if (value.length !== 6) return wrongLength(6, value.length)
  for (let i = 0; i < 6; i++) {
    const code = value.charCodeAt(i)
    if (code < 48 || code > 57) return fault(`第 ${i + 1} 位应为数字`, `character ${i + 1} must be a digit`)
  }
  return value.startsWith('0') ? fault('第 1 位不能为 0', 'character 1 must not be 0') : undefined
}

/** 实施编码 (GB/T 39046-2020 TASK_CODE): 31 characters in practice, 1–36 in older data, so its parts are not judged. */
export function itemCodeFault(value: string): Bilingual | undefined {
  if (value.length < 1 || value.length > 36) {
    return fault(`应为 1–36 位，实为 ${value.length} 位`, `must have 1–36 characters and has ${value.length}`)
  }
  const at = value.search(/[^0-9A-Za-z]/)
  return at < 0 ? undefined : fault(`第 ${at + 1} 位应为数字或字母`, `character ${at + 1} must be a digit or letter`)
}

/** Whether one of 31 characters is made as it should: USCC (18), level 1–6, basic code (12). Only ever a warning. */
export const itemCodePasses = (code: string): boolean =>
  code.length !== 31 || (usccFault(code.slice(0, 18)) === undefined && /^[1-6]$/.test(code.charAt(18)))

/** 不动产单元代码 (GB/T 37346-2019), 28 characters, spaces ignored, no check digit; W (无) needs eight zeros. */
export function propertyUnitFault(value: string): Bilingual | undefined {
  const text = value.replaceAll(' ', '')
  if (text.length !== 28) return wrongLength(28, text.length)
  for (let i = 0; i < 28; i++) {
    const allowed = i === 12 ? 'GJZ' : i === 13 ? 'ABSXCDEFLNHGWY' : i === 19 ? 'FLQW' : '0123456789'
    if (!allowed.includes(text.charAt(i))) {
      return fault(`第 ${i + 1} 位应为 ${allowed} 之一`, `character ${i + 1} must be one of ${allowed}`)
    }
  }
  if (!text.includes('W', 19) || text.endsWith('00000000')) return undefined
  return fault('定着物为 W（无）时第 21–28 位应全为 0', 'with fixture W (none) characters 21–28 must be zeros')
}

const PROPERTY_CERTIFICATE = /^[\u4e00-\u9fa5][（(](?:19|20)\d{2}[）)][\u4e00-\u9fa5]{2,36}第\d{7,10}号$/

/** 不动产权证号 or 不动产登记证明号, with full- or half-width brackets. */
export function propertyCertificateFault(value: string): Bilingual | undefined {
  if (PROPERTY_CERTIFICATE.test(value) && /不动产(?:权|证明)第/.test(value)) return undefined
  return fault(
    '形如“蒙（2021）呼和浩特市不动产权第0001234号”',
    'must read like 蒙（2021）呼和浩特市不动产权第0001234号',
  )
}

/** 32 bytes in canonical base64url: the last character holds two bits that must be zero. */
export const FILE_DIGEST = /^(?:sha-256|sm3):[A-Za-z0-9_-]{42}[AEIMQUYcgkosw048]$/

/** Digest of a file's bytes: `sha-256:` or `sm3:` (GB/T 32905) and 43 characters of base64url. */
export function fileDigestFault(value: string): Bilingual | undefined {
  if (FILE_DIGEST.test(value)) return undefined
  return fault(
    '应为 sha-256: 或 sm3: 加 43 个 base64url 字符',
    'must be sha-256: or sm3: and 43 characters of base64url',
  )
}

const DATE = /^\d{4}-\d{2}-\d{2}$/
const DATE_TIME = /^(\d{4}-\d{2}-\d{2})T(?:[01]\d|2[0-3]):[0-5]\d:[0-5]\d(?:\.\d+)?(?:Z|[+-](?:0\d|1[0-4]):[0-5]\d)$/i
const UUID = /^[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}$/i

const DAYS_OF_MONTH = [31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31]

/** A day that is in the calendar and in that of PostgreSQL, which has no year 0. By numbers: it runs for every exchange. */
function isDate(text: string): boolean {
  if (!DATE.test(text)) return false
  const [year, month, day] = [Number(text.slice(0, 4)), Number(text.slice(5, 7)), Number(text.slice(8))]
  const isLeapDay = month === 2 && day === 29 && year % 4 === 0 && (year % 100 !== 0 || year % 400 === 0)
  return year > 0 && day > 0 && (day <= (DAYS_OF_MONTH[month - 1] ?? 0) || isLeapDay)
}

/**
 * Standard formats as narrow as whoever reads them later: a date-time with a leap second, an offset of 20 hours, or a
 * blank for its T, or a uuid as a URN, would be accepted here and then stand in the way of every reader of the log.
 */
export const STANDARD_CHECKS: Readonly<Record<string, (text: string) => boolean>> = Object.freeze({
  date: isDate,
  'date-time': (text: string) => isDate(DATE_TIME.exec(text)?.[1] ?? ''),
  uuid: (text: string) => UUID.test(text),
})

/** Our formats by their name in the schemas. */
export const FORMAT_CHECKS: Readonly<Record<string, FormatCheck>> = Object.freeze({
  uscc: usccFault,
  'resident-id': (value: string) => residentIdFault(value, Date.now()),
  'resident-id-or-15': (value: string) => registerIdFault(value, Date.now()),
  'certificate-identifier': certificateIdentifierFault,
  'division-code': divisionCodeFault,
  'item-code': itemCodeFault,
  'property-unit': propertyUnitFault,
  'property-certificate': propertyCertificateFault,
  'file-digest': fileDigestFault,
})
