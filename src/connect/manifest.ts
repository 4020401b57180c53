import { readFile } from 'node:fs/promises'
import path from 'node:path'
import { load } from 'js-yaml'
import { z } from 'zod'
import { HubError, type Violation } from '#kernel/errors.ts'
import { PARTY_ID } from '#kernel/ids.ts'
import { NAMED_FAULTS, type NamedFault } from './soap-faults.ts'

/** KAFKA.md, delivery ledger: about 28 hours in nine retries. */
const DEFAULT_SCHEDULE_MS = [5_000, 30_000, 120_000, 600_000, 1_800_000, 7_200_000, 18_000_000, 36_000_000, 36_000_000]

/** Aliases of aliases could grow without end. */
const MAX_ALIASES = 100

const headerName = z.string().regex(/^[A-Za-z0-9-]+$/)
export const urlPath = z.string().regex(/^\/[!-~]*$/)
export const pointer = z.string().regex(/^(?:\/[^/]+)+$/)
const mappingFile = z.string().regex(/^[a-z0-9-]+\.(?:jsonata|ts)$/)
/** An XML name without a prefix, of letters that need no escaping anywhere. */
const elementName = z.string().regex(/^[A-Za-z_][A-Za-z0-9_.-]*$/)

const bodyMatch = z.strictObject({
  /** JSON Pointer into the answer's body; for SOAP into the content of the operation's element. */
  pointer,
  equals: z.array(z.string()).min(1),
})

const answerMatch = z.strictObject({
  status: z.int().min(200).max(499).default(200),
  match: bodyMatch.optional(),
})

const http = { method: z.enum(['POST', 'PUT']), path: urlPath }
const soap = {
  /** Name of the element in the body, in the namespace of the manifest. */
  operation: elementName,
  /** SOAPAction (SOAP 1.1 §6.1.1), without its quotes. */
  soapAction: z.string().regex(/^[!#-~]*$/),
}

const reading = {
  mapping: mappingFile,
  /** What a 2xx body says when the peer took it in; without it every 2xx does. */
  success: bodyMatch.optional(),
  /** Where the peer's own number stands in its answer. */
  recipientRef: pointer.optional(),
}

/** A look-up that tells whether the peer has what was sent before, without doing anything. */
const asking = {
  mapping: mappingFile,
  applied: answerMatch,
  absent: answerMatch,
  recipientRef: pointer.optional(),
  /** For so long after a request without an answer the peer may still act on it; by default the request time-out. */
  settleMs: z.int().min(1).optional(),
}

/** What every folder says of itself, whatever it does. */
export const identity = {
  id: z.string().regex(/^[a-z0-9](?:[a-z0-9-]{0,46}[a-z0-9])?$/),
  version: z.string().regex(/^\d+\.\d+\.\d+$/),
  title: z.strictObject({ zh: z.string().min(1), en: z.string().min(1) }),
}

export const endpoint = z.strictObject({
  /** The configuration key under which its address and secret are found. */
  name: z.string().regex(/^[a-z0-9-]+$/),
  timeoutMs: z.int().min(10).max(120_000),
  /** The header that carries the secret, with its scheme in front when there is one. */
  authentication: z.strictObject({ header: headerName, scheme: z.string().min(1).optional() }).optional(),
})

const common = {
  ...identity,
  /** Whose deliveries it takes. */
  recipient: z.string().regex(PARTY_ID),
  /** Its own party id: it signs acknowledgements with its own key, on behalf of the recipient. */
  party: z.string().regex(PARTY_ID),
  direction: z.literal('sink'),
  endpoint,
  /** The header that carries the effect key; a mapping may carry it in the body as well, or instead. */
  effectKeyHeader: headerName.optional(),
  /** The answer that says "I have it already". Any other 409 is a rejection. */
  duplicate: answerMatch.optional(),
  /** A 2xx body that says "try again later". */
  busy: bodyMatch.optional(),
  retry: z.strictObject({ scheduleMs: z.array(z.int().min(1)).min(1) }).default({ scheduleMs: DEFAULT_SCHEDULE_MS }),
  concurrency: z.int().min(1).max(256).default(8),
  onDead: z.enum(['block', 'continue']).default('block'),
}

export const contractRef = z.string().regex(/^[a-z0-9-]+@\d+$/)

const httpManifest = z.strictObject({
  ...common,
  transport: z.literal('http').default('http'),
  confirm: z.strictObject({ ...http, ...asking }).optional(),
  contracts: z.record(contractRef, z.strictObject({ ...http, ...reading })),
})

const namedFaults = Object.keys(NAMED_FAULTS) as NamedFault[]

const soapManifest = z.strictObject({
  ...common,
  transport: z.literal('soap'),
  soap: z.strictObject({
    path: urlPath,
    namespace: z.string().regex(/^[!-~]{1,256}$/),
    /** Whether the elements below the operation stand in its namespace (elementFormDefault of the WSDL's schema). */
    elements: z.enum(['qualified', 'unqualified']).default('qualified'),
  }),
  /** The peer's own codes inside a Fault, and how each is read; they win over the fault code itself. */
  faults: z.strictObject({ pointer, codes: z.record(z.string(), z.enum(namedFaults)) }).optional(),
  confirm: z.strictObject({ ...soap, ...asking }).optional(),
  contracts: z.record(contractRef, z.strictObject({ ...soap, ...reading })),
})

export type HttpManifest = z.output<typeof httpManifest>
export type SoapManifest = z.output<typeof soapManifest>
export type Manifest = HttpManifest | SoapManifest
export type BodyMatch = z.output<typeof bodyMatch>
export type AnswerMatch = z.output<typeof answerMatch>

/** Reads and checks connector.yaml. Throws `connector.invalid` with every fault; unknown keys are faults. */
export async function loadManifest(directory: string): Promise<Manifest> {
  const { file, document } = await readManifestFile(directory)
  const result = (isSoap(document) ? soapManifest : httpManifest).safeParse(document)
  const faults = result.success ? unsafe(result.data) : result.error.issues.map(asViolation)
  if (result.success && faults.length === 0) return result.data
  throw faulty(file, faults)
}

/** connector.yaml as it stands, before anything is judged. Throws `connector.invalid` when it is no YAML. */
export async function readManifestFile(
  directory: string,
): Promise<{ readonly file: string; readonly document: unknown }> {
  const file = path.join(directory, 'connector.yaml')
  try {
    return { file, document: load(await readFile(file, 'utf8'), { maxAliases: MAX_ALIASES }) }
  } catch (cause) {
    const message = { zh: `${file} 无法读取或不是合法的 YAML`, en: `${file} cannot be read or is not valid YAML` }
    throw new HubError('connector.invalid', { detail: message, cause })
  }
}

export const faulty = (file: string, violations: readonly Violation[]): HubError =>
  new HubError('connector.invalid', { violations, detail: { zh: `${file} 有误`, en: `${file} is faulty` } })

const isSoap = (document: unknown): boolean =>
  typeof document === 'object' && document !== null && 'transport' in document && document.transport === 'soap'

/** DESIGN §7: a target that does not recognise a repeated message has a look-up, or its effects could double. */
function unsafe(manifest: Manifest): Violation[] {
  const hasKey = manifest.effectKeyHeader !== undefined || manifest.transport === 'soap'
  const tellsDuplicates =
    manifest.duplicate !== undefined ||
    (manifest.transport === 'soap' && Object.values(manifest.faults?.codes ?? {}).includes('duplicate'))
  if ((hasKey && tellsDuplicates) || manifest.confirm !== undefined) return []
  const message = {
    zh: '既无识别重复报文的方式（effectKeyHeader 与 duplicate），又无 confirm 查询：结果未知时可能重复生效',
    en: 'neither a way to recognise a repeated message (effectKeyHeader and duplicate) nor a confirm look-up: after an unknown outcome the effect could double',
  }
  return [{ pointer: '/confirm', rule: 'manifest.confirm-missing', message }]
}

export function asViolation(issue: z.core.$ZodIssue): Violation {
  const at = issue.path.map((part) => `/${String(part).replaceAll('~', '~0').replaceAll('/', '~1')}`).join('')
  return {
    pointer: at,
    rule: `manifest.${issue.code}`,
    message: { zh: `${at || '/'}：${issue.message}`, en: `${at || '/'}: ${issue.message}` },
  }
}
