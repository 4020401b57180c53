import { z } from 'zod'
import { PARTY_ID } from '#kernel/ids.ts'
import { asViolation, contractRef, endpoint, faulty, identity, pointer, readManifestFile, urlPath } from './manifest.ts'

const jsonata = z.string().regex(/^[a-z0-9-]+\.jsonata$/)
const stepName = z.string().regex(/^[a-z][A-Za-z0-9]{0,31}$/)
const codes = z.array(z.string()).default([])

/** One request of a look-up. It is a POST to a fixed path: what is asked stands in the body alone, never in a URL. */
const step = z.strictObject({ name: stepName, path: urlPath, mapping: jsonata })

const contract = z.strictObject({
  steps: z.array(step).min(1).max(5),
  /** From the query and the answers of all steps to {documents: [{data, seal?}]}. */
  answer: jsonata,
})

/** DESIGN §5b: answers are kept for five minutes at most. */
const MAX_CACHE_SECONDS = 300

const lookUpManifest = z
  .strictObject({
    ...identity,
    direction: z.literal('lookup'),
    /** Whose data it is: the issuer of what it answers, and who is told in its monthly statement. */
    provider: z.string().regex(PARTY_ID),
    endpoint,
    /** For all steps together. */
    budgetMs: z.int().min(10).max(10_000).default(3_000),
    /** 0: nothing is kept, and only those who ask at the same time share an answer. */
    cacheSeconds: z.int().min(0).max(MAX_CACHE_SECONDS),
    concurrency: z.int().min(1).max(256).default(16),
    circuit: z
      .strictObject({
        /** So many failures in a row open it. */
        failures: z.int().min(1).default(5),
        /** Until the first probe; doubled after each probe that fails. */
        openMs: z.int().min(1).default(5_000),
        maxOpenMs: z.int().min(1).default(60_000),
      })
      .default({ failures: 5, openMs: 5_000, maxOpenMs: 60_000 }),
    /** How the body of an answer tells what it is. A code that stands nowhere here is not understood. */
    outcome: z.strictObject({
      pointer,
      found: z.array(z.string()).min(1),
      none: codes,
      /** Its own cap of the day is used up. */
      capReached: codes,
      busy: codes,
      unauthorized: codes,
    }),
    /** By kind of licence: the system's status codes → those of the document contract. */
    statuses: z.record(z.string(), z.record(z.string(), z.string())).default({}),
    contracts: z.record(contractRef, contract),
  })
  .refine(({ endpoint: { timeoutMs }, budgetMs }) => timeoutMs <= budgetMs, {
    path: ['endpoint', 'timeoutMs'],
    message: 'one request cannot take longer than the budget of the whole look-up',
  })

export type LookUpManifest = z.output<typeof lookUpManifest>

/** Reads and checks connector.yaml of a look-up. Throws `connector.invalid` with every fault; unknown keys are faults. */
export async function loadLookUpManifest(directory: string): Promise<LookUpManifest> {
  const { file, document } = await readManifestFile(directory)
  const result = lookUpManifest.safeParse(document)
  if (result.success) return result.data
  throw faulty(file, result.error.issues.map(asViolation))
}
