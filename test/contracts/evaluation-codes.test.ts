import { join } from 'node:path'
import { describe, expect, test } from 'vitest'
import { compile } from '#connect/mapping.ts'
import { loadContracts } from '#contracts/load.ts'
import { checkRules } from '#contracts/rules.ts'
import { subschemaAt } from '#contracts/schema-walk.ts'
import { validateData } from '#contracts/validate.ts'
import { HubError } from '#kernel/errors.ts'
import type { JsonObject } from '#kernel/json.ts'

const found = loadContracts(join(import.meta.dirname, '../..')).get('service-evaluation@1')
if (found === undefined) throw new HubError('contract.unknown')
const contract = found

/** Best first. */
const LEVELS = ['VERY_SATISFIED', 'SATISFIED', 'BASICALLY_SATISFIED', 'DISSATISFIED', 'VERY_DISSATISFIED']

/** What a connector's mapping makes of the code in `data.level`; the rest of the row does not differ between systems. */
const mappingOf = (codes: string): ReturnType<typeof compile> =>
  compile(`{
    "evaluationKey": data.caseNo & ":" & data.no,
    "aliases": [{ "scheme": "affair-no", "issuer": claims.iss, "number": data.caseNo }],
    "evaluationNo": $number(data.no),
    "divisionCode": data.division,
    "subject": "APPROVAL",
    "satisfaction": $lookup({ ${codes} }, $string(data.level)),
    "channel": "MOBILE",
    "text": data.words,
    "evaluatedAt": data.at
  }`)

/** GB/T 39046: 1 is the best. */
const standard = mappingOf(LEVELS.map((level, i) => `"${i + 1}": "${level}"`).join(', '))
/** The exchange of 好差评: 5 is the best. */
const exchange = mappingOf(LEVELS.map((level, i) => `"${5 - i}": "${level}"`).join(', '))

const delivery = { id: '01958a2e-7c3b-7d11-8a52-3f0c5e9b1a77', receivedAt: '2026-09-20T02:00:00.000Z' }
const row = (level: string, words?: string): JsonObject => ({
  ...{ caseNo: '150402-20260907-00017', no: '1', division: '150402', at: '2026-09-20T10:00:00+08:00', level },
  ...(words === undefined ? {} : { words }),
})
const input = (data: JsonObject) => ({ data, claims: { iss: 'platform-chifeng' }, delivery, receipt: 'r' })

async function judged(mapping: typeof standard, data: JsonObject): Promise<[unknown, string[]]> {
  const mapped = await mapping(input(data))
  const { errors } = checkRules(contract, { data: mapped, claims: {}, nowMs: Date.parse('2026-11-22T00:00:00Z') })
  return [mapped.satisfaction, [...validateData(contract, mapped), ...errors].map(({ rule }) => rule)]
}

describe('the codes of an evaluation run both ways', () => {
  test('the contract knows the meanings only, five of them, best first', () => {
    expect(subschemaAt(contract.schemaDocument, '/satisfaction')?.enum).toEqual(LEVELS)
  })

  test.each([
    ['1', '5', 'VERY_SATISFIED'],
    ['2', '4', 'SATISFIED'],
    ['3', '3', 'BASICALLY_SATISFIED'],
    ['4', '2', 'DISSATISFIED'],
    ['5', '1', 'VERY_DISSATISFIED'],
  ])('%s in GB/T 39046 and %s in the exchange of 好差评 both mean %s', async (inStandard, inExchange, meaning) => {
    expect(await judged(standard, row(inStandard, '示例意见'))).toEqual([meaning, []])
    expect(await judged(exchange, row(inExchange, '示例意见'))).toEqual([meaning, []])
  })

  test('1 without a word is the best in one system and refused as the worst in the other', async () => {
    expect(await judged(standard, row('1'))).toEqual(['VERY_SATISFIED', []])
    expect(await judged(exchange, row('1'))).toEqual(['VERY_DISSATISFIED', ['bad-needs-a-reason']])
  })

  test('a code that neither knows is not taken for a level', async () => {
    for (const mapping of [standard, exchange])
      expect(await judged(mapping, row('6'))).toEqual([undefined, expect.arrayContaining(['required'])])
  })
})
