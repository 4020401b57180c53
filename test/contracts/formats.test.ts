import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import {
  certificateCheckCharacter,
  certificateCheckPasses,
  certificateIdentifierFault,
  divisionCodeFault,
  documentIdentity,
  FORMAT_CHECKS,
  fileDigestFault,
  itemCodeFault,
  itemCodePasses,
  propertyCertificateFault,
  propertyUnitFault,
  registerIdFault,
  residentIdFault,
  residentIdOf18,
  STANDARD_CHECKS,
  usccFault,
  usccOrganisationPasses,
} from '#contracts/formats.ts'

const NOW = Date.parse('2026-11-22T00:00:00Z')
const ROOT = '1.2.156.3005.2.'

describe('unified social credit code (GB 32100-2015)', () => {
  const valid = [
    ...['91350100M000100Y43', '11100000000013338W', '91370406L24894136J'],
    ...['91150102MADEM0011F', '91150402MADEM002XN', '92150602MADEM0038X'],
    ...['1115010001150T0187', '1115040001150T026H', '1115060001150T034N', '1115070001150T042N'],
  ]
  test.each(valid)('%s passes, its inner check too', (code) => {
    expect(usccFault(code)).toBeUndefined()
    expect(usccOrganisationPasses(code)).toBe(true)
  })

  test('a wrong check character is named with the one that the others call for', () => {
    expect(usccFault('91150102MADEM00121')?.en).toContain('check character 18 is wrong')
    expect(usccFault('91150102MADEM00121')?.en).toContain('call for J')
  })

  test.each(['I', 'O', 'S', 'V', 'Z', 'a'])('the letter %s is refused at its place', (letter) => {
    expect(usccFault(`9115010${letter}MADEM0011F`)?.en).toContain('character 8 is not allowed')
  })

  test('an unknown leading pair is never refused', () => {
    expect(usccFault('11100000000013338W')).toBeUndefined()
    expect(usccFault(`${'0'.repeat(17)}0`)).toBeUndefined()
  })

  test('a wrong length is told as such', () => {
    expect(usccFault('91150102MADEM001')?.zh).toBe('应为 18 位，实为 16 位')
  })

  test('changing any one character of a valid code is always noticed', () => {
    const alphabet = '0123456789ABCDEFGHJKLMNPQRTUWXY'
    fc.assert(
      fc.property(fc.constantFrom(...valid), fc.nat(17), fc.nat(30), (code, at, to) => {
        const other = alphabet.charAt(to)
        fc.pre(other !== code.charAt(at))
        expect(usccFault(code.slice(0, at) + other + code.slice(at + 1))).toBeDefined()
      }),
    )
  })
})

describe('公民身份号码 (GB 11643-1999)', () => {
  const valid = [
    ...['11010519491231002X', '150102199001010019', '150402198512310023'],
    ...['152201197806150037', '152900200002290049', '15010219900101006X'],
  ]
  test.each(valid)('%s passes', (number) => {
    expect(residentIdFault(number, NOW)).toBeUndefined()
  })

  test('a lower-case x passes as the capital does', () => {
    expect(residentIdFault('11010519491231002x', NOW)).toBeUndefined()
  })

  test('a wrong check character is named without telling the right one', () => {
    expect(residentIdFault('150102199001010018', NOW)).toEqual({
      zh: '第 18 位校验码不符',
      en: 'check character 18 is wrong',
    })
  })

  test('30 February is refused although its check character is right', () => {
    expect(residentIdFault('150102199002300018', NOW)?.en).toContain('not a real date')
  })

  test('a birth date in the future is refused', () => {
    expect(residentIdFault('150702209912319999', NOW)?.en).toContain('in the future')
  })

  test('15 digits are refused with the reason', () => {
    expect(residentIdFault('150102900101001', NOW)?.en).toContain('retired in 2013')
  })

  test('an unknown area code is not judged', () => {
    expect(residentIdFault('99010519491231002X', NOW)?.en).toBe('check character 18 is wrong')
  })

  test('a letter is refused at its place', () => {
    expect(residentIdFault('15010219900101A019', NOW)?.en).toBe('character 15 must be a digit')
  })
})

describe('证照标识 (GB/T 36904-2018)', () => {
  const passing = [
    '11100000000013338W011.11430000006122244L.20230000403.001.U',
    '11100000MB03271699022.340100.000000016.001.9',
    '11100000000013338W009.11330105002500287C.2025052201.002.0',
    '11100000000013338W032.11220000013544541J.2430599.001.F',
    '11100000MB0143028R001.1115010001150T0187.20260000000000000001.001.S',
    '11100000MB03271699001.1115040001150T026H.20260000000000000002.001.H',
    '11100000000013127D001.1115060001150T034N.20260000000000000003.002.8',
    '11100000MB03271699022.1115040001150T026H.A1B2C3D4E5F6G7H8J9K0.001.E',
  ]
  test.each(passing)('%s has the right check character', (identifier) => {
    expect(certificateIdentifierFault(ROOT + identifier)).toBeUndefined()
    expect(certificateCheckPasses(ROOT + identifier)).toBe(true)
  })

  test('the documentation sample passes in structure and fails the check, which computes D', () => {
    const parts = '11100000000013661B006.113700000045046442.209FA4E88F9E4C878F3E9BED2CE7EA49.001'
    expect(certificateIdentifierFault(`${ROOT}${parts}.M`)).toBeUndefined()
    expect(certificateCheckPasses(`${ROOT}${parts}.M`)).toBe(false)
    expect(certificateCheckCharacter(parts.replaceAll('.', ''))).toBe('D')
  })

  test('lower case is read as upper case', () => {
    expect(certificateCheckPasses(`${ROOT}${passing[3]}`.toLowerCase())).toBe(true)
  })

  test.each([
    ['1.2.157.3005.2.A', 'must start with'],
    [`${ROOT}11100000000013338W011.11.1.001`, 'must be followed by 5 parts'],
    [`${ROOT}11100000000013338W01.11.1.001.U`, 'type code'],
    [`${ROOT}11100000000013338W011.1.1.001.U`, 'issuer'],
    [`${ROOT}11100000000013338W011.11..001.U`, 'serial'],
    [`${ROOT}11100000000013338W011.11.1.01.U`, 'version'],
    [`${ROOT}11100000000013338W011.11.1.001.UU`, 'check character'],
  ])('%s is refused for that part', (identifier, part) => {
    expect(certificateIdentifierFault(identifier)?.en).toContain(part)
  })
})

describe('other formats', () => {
  test('a file digest is 32 bytes in canonical base64url, of SHA-256 or SM3', () => {
    const value = '47DEQpj8HBSa-_TImW-5JCeuQeRkm5NMpJWZG3hSuFU'
    for (const digest of [`sha-256:${value}`, `sm3:${value}`]) expect(fileDigestFault(digest)).toBeUndefined()
    for (const digest of [
      value,
      `md5:${value}`,
      `sha-256:${value}=`,
      `sha-256:${value.slice(0, -1)}V`,
      `sm3:../${value}`,
    ])
      expect(fileDigestFault(digest)?.en).toContain('base64url')
  })

  test.each(['150100', '150429', '152571', '150000'])('division %s passes', (code) => {
    expect(divisionCodeFault(code)).toBeUndefined()
  })
  test.each([
    ['1504', 'must have 6 characters and has 4'],
    ['15O429', 'character 3 must be a digit'],
    ['050429', 'character 1 must not be 0'],
  ])('division %s is refused', (code, why) => {
    expect(divisionCodeFault(code)?.en).toBe(why)
  })

  test.each(['1115040001150T026H3000117021000', '3000117021000', 'a', '0'.repeat(36)])(
    'item code %s passes',
    (code) => {
      expect(itemCodeFault(code)).toBeUndefined()
      expect(itemCodePasses(code)).toBe(true)
    },
  )
  test.each([
    ['', 'must have 1–36 characters and has 0'],
    ['0'.repeat(37), 'must have 1–36 characters and has 37'],
    ['1115040001150T026H-000117021000', 'character 19 must be a digit or letter'],
  ])('item code %s is refused', (code, why) => {
    expect(itemCodeFault(code)?.en).toBe(why)
  })
  test('an item code of 31 characters with a wrong USCC or level is in form, and would be warned of', () => {
    for (const code of ['1115040001150T026X3000117021000', '1115040001150T026H7000117021000']) {
      expect(itemCodeFault(code)).toBeUndefined()
      expect(itemCodePasses(code)).toBe(false)
    }
  })

  test.each(['150102001002GB00123F00010203', '150402003004JC00045F00010001', '150602001001GB00007W00000000'])(
    'property unit %s passes, with spaces too',
    (code) => {
      expect(propertyUnitFault(code)).toBeUndefined()
      expect(propertyUnitFault(`${code.slice(0, 12)} ${code.slice(12)}`)).toBeUndefined()
    },
  )
  test('a property unit without fixture needs zeros', () => {
    expect(propertyUnitFault('150602001001GB00007W00000001')?.en).toContain('must be zeros')
    expect(propertyUnitFault('150602001001XB00007W00000000')?.en).toContain('character 13 must be one of GJZ')
  })

  test('a property certificate number passes with either kind of brackets', () => {
    expect(propertyCertificateFault('蒙（2021）呼和浩特市不动产权第0001234号')).toBeUndefined()
    expect(propertyCertificateFault('蒙(2021)呼和浩特市不动产证明第0001234号')).toBeUndefined()
    expect(propertyCertificateFault('房权证蒙字第12号')).toBeDefined()
  })

  test('no format ever throws or repeats the value, whatever the text', () => {
    fc.assert(
      fc.property(fc.string({ minLength: 8, unit: 'grapheme' }), (text) => {
        for (const check of Object.values(FORMAT_CHECKS)) {
          const said = check(text)
          expect(said?.en.includes(text) ?? false).toBe(false)
        }
      }),
    )
  })
})

describe('numbers in old registers', () => {
  test('15 digits pass, and 18 characters as ever', () => {
    expect(registerIdFault('150402511203001', NOW)).toBeUndefined()
    expect(registerIdFault('15010219900101006x', NOW)).toBeUndefined()
  })

  test.each([
    ['150402511303001', 'not a real date'],
    ['15040251120300A', 'character 15 must be a digit'],
    ['150102199001010018', 'check character 18 is wrong'],
    ['1504025112030', 'must have 18 characters'],
  ])('%s is refused: %s', (number, reason) => {
    expect(registerIdFault(number, NOW)?.en).toContain(reason)
  })

  test('the number of 18 characters has the century and the check', () => {
    expect(residentIdOf18('150402511203001')).toBe('150402195112030010')
    expect(residentIdFault(residentIdOf18('110105491231002'), NOW)).toBeUndefined()
  })
})

describe('what all versions of a document share', () => {
  test('is the identifier without version and check character, in capitals', () => {
    const stem = `${ROOT}11100000MB0143028R001.1115010001150T0187.20260000000000000001`
    expect(documentIdentity(`${stem}.001.S`)).toBe(stem)
    expect(documentIdentity(`${stem}.002.x`.toLowerCase())).toBe(stem)
  })

  test('is the whole of an identifier of another form', () => {
    expect(documentIdentity('CF-FC-1998-000123')).toBe('CF-FC-1998-000123')
  })
})

describe('dates, times and UUIDs are those that every reader of the log can read', () => {
  const cases = (format: string, right: readonly string[], wrong: readonly string[]) => [
    ...right.map((text) => ({ format, text, is: true })),
    ...wrong.map((text) => ({ format, text, is: false })),
  ]
  test.each([
    ...cases(
      'date',
      ['2026-01-31', '2024-02-29', '0001-01-01'],
      ['0000-01-01', '2026-02-29', '2026-13-01', '2026-1-1'],
    ),
    ...cases(
      'date-time',
      ['2026-01-31T09:00:00+08:00', '2026-01-31t09:00:00.123456z', '2026-01-31T09:00:00-12:00', '9999-12-31T23:59:59Z'],
      [
        ...['2026-01-31T09:00:00+16:00', '2026-01-31T09:00:00+23:59', '2026-01-31T23:59:60Z', '0000-01-01T00:00:00Z'],
        ...['2026-01-31 09:00:00Z', '2026-01-31\u300009:00:00Z', '2026-01-31T09:00:00', '2026-01-31T09:00:00+0800'],
        '2026-02-30T09:00:00Z',
      ],
    ),
    ...cases(
      'uuid',
      ['0199a000-0000-7000-8000-00000000000A'],
      ['urn:uuid:0199a000-0000-7000-8000-00000000000a', '0199a0000000700080000000 0000000a'],
    ),
  ])('$format $text: $is', ({ format, text, is }) => {
    expect(STANDARD_CHECKS[format]?.(text)).toBe(is)
    if (is && format !== 'uuid') expect(Date.parse(text)).not.toBeNaN()
  })
})
