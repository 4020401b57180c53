import { readFile } from 'node:fs/promises'
import path from 'node:path'
import { parse } from 'yaml'
import { z } from 'zod'
import { HubError, type Violation } from '#kernel/errors.ts'
import { PARTY_ID } from '#kernel/ids.ts'

/** KAFKA.md, delivery ledger: about 28 hours in nine retries. */
const DEFAULT_SCHEDULE_MS = [5_000, 30_000, 120_000, 600_000, 1_800_000, 7_200_000, 18_000_000, 36_000_000, 36_000_000]

const bodyMatch = z.strictObject({
  /** JSON Pointer into the answer's body. */
  pointer: z.string().regex(/^(?:\/[^/]+)+$/),
  equals: z.array(z.string()).min(1),
})

const contractEntry = z.strictObject({
  mapping: z.string().regex(/^[a-z0-9-]+\.(?:jsonata|ts)$/),
  method: z.enum(['POST', 'PUT']),
  path: z.string().regex(/^\/[!-~]*$/),
  /** What a 2xx body says when the peer took it in; without it every 2xx does. */
  success: bodyMatch.optional(),
  /** Where the peer's own number stands in its answer. */
  recipientRef: bodyMatch.shape.pointer.optional(),
})

const schema = z.strictObject({
  id: z.string().regex(/^[a-z0-9](?:[a-z0-9-]{0,46}[a-z0-9])?$/),
  version: z.string().regex(/^\d+\.\d+\.\d+$/),
  title: z.strictObject({ zh: z.string().min(1), en: z.string().min(1) }),
  /** Whose deliveries it takes. */
  recipient: z.string().regex(PARTY_ID),
  /** Its own party id: it signs acknowledgements with its own key, on behalf of the recipient. */
  party: z.string().regex(PARTY_ID),
  direction: z.literal('sink'),
  endpoint: z.strictObject({
    /** The configuration key under which its address and secret are found. */
    name: z.string().regex(/^[a-z0-9-]+$/),
    timeoutMs: z.int().min(10).max(120_000),
    /** The header that carries the secret, with its scheme in front when there is one. */
    authentication: z.strictObject({ header: headerName(), scheme: z.string().min(1).optional() }).optional(),
  }),
  effectKeyHeader: headerName(),
  /** The answer that says "I have it already". Any other 409 is a rejection. */
  duplicate: z.strictObject({ status: z.int().min(200).max(499), match: bodyMatch.optional() }),
  /** A 2xx body that says "try again later". */
  busy: bodyMatch.optional(),
  retry: z.strictObject({ scheduleMs: z.array(z.int().min(1)).min(1) }).default({ scheduleMs: DEFAULT_SCHEDULE_MS }),
  concurrency: z.int().min(1).max(256).default(8),
  onDead: z.enum(['block', 'continue']).default('block'),
  contracts: z.record(z.string().regex(/^[a-z0-9-]+@\d+$/), contractEntry),
})

export type Manifest = z.output<typeof schema>
export type ContractEntry = z.output<typeof contractEntry>
export type BodyMatch = z.output<typeof bodyMatch>

function headerName(): z.ZodString {
  return z.string().regex(/^[A-Za-z0-9-]+$/)
}

/** Reads and checks connector.yaml. Throws `connector.invalid` with every fault; unknown keys are faults. */
export async function loadManifest(directory: string): Promise<Manifest> {
  const file = path.join(directory, 'connector.yaml')
  let document: unknown
  try {
    document = parse(await readFile(file, 'utf8'), { strict: true, uniqueKeys: true })
  } catch (cause) {
    const message = { zh: `${file} 无法读取或不是合法的 YAML`, en: `${file} cannot be read or is not valid YAML` }
    throw new HubError('connector.invalid', { detail: message, cause })
  }
  const result = schema.safeParse(document)
  if (result.success) return result.data
  throw new HubError('connector.invalid', {
    violations: result.error.issues.map(asViolation),
    detail: { zh: `${file} 有误`, en: `${file} is faulty` },
  })
}

function asViolation(issue: z.core.$ZodIssue): Violation {
  const pointer = issue.path.map((part) => `/${String(part).replaceAll('~', '~0').replaceAll('/', '~1')}`).join('')
  return {
    pointer,
    rule: `manifest.${issue.code}`,
    message: { zh: `${pointer || '/'}：${issue.message}`, en: `${pointer || '/'}: ${issue.message}` },
  }
}
