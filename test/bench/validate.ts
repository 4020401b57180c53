import { readFileSync } from 'node:fs'
import path from 'node:path'
import { Ajv2020 } from 'ajv/dist/2020.js'
import addFormats from 'ajv-formats'
import { ANNOTATIONS } from '#contracts/ajv.ts'
import type { Contract } from '#contracts/contract.ts'
import { FORMAT_CHECKS } from '#contracts/formats.ts'
import { loadContracts } from '#contracts/load.ts'
import { brokenRules } from '#contracts/rules.ts'
import { validateData } from '#contracts/validate.ts'
import type { JsonObject } from '#kernel/json.ts'
import { CONTRACT, ROOT } from './message.ts'
import { type Bench, median, rounded } from './report.ts'

const EXAMPLE = path.join(ROOT, 'schemas/approval-result/examples/valid/approved.json')
const ROUNDS = 9
const PAYLOADS = 200
/** What schema and rules together may cost, in bare validations of the same payload. */
const MAX_RATIO = 4

type Part = 'bare' | 'schema' | 'rules'
const PARTS: readonly Part[] = ['bare', 'schema', 'rules']

/**
 * What a contract costs beside bare ajv on the same schema and the same distinct payloads of about 2 KB, part by part in
 * turn within one run. Fails above `MAX_RATIO`.
 */
export const validate: Bench = async ({ seconds, say }) => {
  const contract = loadContracts(ROOT).get(CONTRACT)
  if (contract === undefined) throw new Error(`no contract ${CONTRACT}`)
  const payloads = somePayloads()
  const run = partsOf(contract)
  const found: Record<Part, number[]> = { bare: [], schema: [], rules: [] }
  const windowMs = (seconds * 1_000) / (ROUNDS + 1) / PARTS.length
  for (let round = 0; round <= ROUNDS; round++) {
    for (const part of PARTS) {
      const cost = microsPerCall(run[part], payloads, windowMs)
      // The first round only warms up.
      if (round > 0) found[part].push(cost)
    }
  }
  const [bare, schema, rules] = [median(found.bare), median(found.schema), median(found.rules)]
  const cost = schema + rules
  const ratio = cost / bare
  say(`bare ajv ${rounded(bare, 2)} µs · schema ${rounded(schema, 2)} µs · rules ${rounded(rules, 2)} µs`)
  say(`shares: schema ${rounded((100 * schema) / cost)} %, rules ${rounded((100 * rules) / cost)} %`)
  say(`ratio ${rounded(ratio, 2)} (at most ${MAX_RATIO})`)
  if (ratio > MAX_RATIO) throw new Error(`schema and rules cost ${rounded(ratio, 2)} times bare ajv`)
  return {
    bench: 'validate',
    perSecond: rounded(1e6 / cost),
    p50Ms: null,
    p99Ms: null,
    ratio: rounded(ratio, 2),
    floorUs: rounded(bare, 2),
    cpuUs: rounded(cost, 2),
    shares: null,
    figures: {
      schemaUs: rounded(schema, 2),
      rulesUs: rounded(rules, 2),
      schemaShare: rounded(schema / cost, 3),
      rulesShare: rounded(rules / cost, 3),
      payloadBytes: Buffer.byteLength(JSON.stringify(payloads[0])),
    },
    ok: true,
  }
}

function somePayloads(): readonly JsonObject[] {
  const text = readFileSync(EXAMPLE, 'utf8')
  const finishedAt = new Date(Date.now() - 3_600_000).toISOString()
  return Array.from({ length: PAYLOADS }, (_, n) => ({
    ...(JSON.parse(text) as JsonObject),
    affairNo: `150402-bench-${n}`,
    finishedAt,
  }))
}

function partsOf(contract: Contract): Readonly<Record<Part, (data: JsonObject) => boolean>> {
  const bare = bareAjv().compile({ ...contract.schemaDocument, $id: 'bench' })
  return {
    bare: (data) => bare(data),
    schema: (data) => validateData(contract, data).length === 0,
    rules: (data) => brokenRules(contract, { data, claims: {}, nowMs: Date.now() }).length === 0,
  }
}

/** As anybody would set it up: no own-property checks, the same formats. */
function bareAjv(): Ajv2020 {
  const ajv = new Ajv2020({ strict: false })
  addFormats.default(ajv)
  for (const [name, fault] of Object.entries(FORMAT_CHECKS)) {
    ajv.addFormat(name, { type: 'string', validate: (value: string) => fault(value) === undefined })
  }
  ajv.addVocabulary([...ANNOTATIONS])
  return ajv
}

/** CPU time of one call, µs. */
function microsPerCall(call: (data: JsonObject) => boolean, payloads: readonly JsonObject[], windowMs: number): number {
  const end = performance.now() + windowMs
  const before = process.cpuUsage()
  let calls = 0
  while (performance.now() < end) {
    for (const payload of payloads) {
      if (!call(payload)) throw new Error('a bench payload is not valid under its contract')
    }
    calls += payloads.length
  }
  const { user, system } = process.cpuUsage(before)
  return (user + system) / calls
}
