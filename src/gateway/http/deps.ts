import type { LedgerTask } from '#cases/ledger-tasks.ts'
import type { CaseProgress } from '#cases/progress.ts'
import type { CompareRequest, Compatibility } from '#contracts/compat/verdict.ts'
import type { Contract, ContractSet } from '#contracts/contract.ts'
import type { Example } from '#contracts/examples.ts'
import type { Pulled } from '#delivery/pull.ts'
import type { ExchangeStatus } from '#delivery/status.ts'
import type { ByteRange, Fetchable } from '#documents/fetch-file.ts'
import type { QueryResult } from '#documents/query.ts'
import type { UploadPart, UploadState } from '#documents/upload.ts'
import type { Acceptance } from '#exchange/accept.ts'
import type { AuthenticatedRequest } from '#exchange/authenticate.ts'
import type { ContractParties } from '#exchange/contract-parties.ts'
import type { Progress, Proven } from '#exchange/prove.ts'
import type { PlainRequest } from '#exchange/prove-plain.ts'
import type { Refuse } from '#exchange/refuse.ts'
import type { Clock } from '#kernel/clock.ts'
import type { SourceAddress } from './source-address.ts'
import type { SourceLimit } from './source-limit.ts'

/** Files by their digest (PROTOCOL, Files). */
export interface FileDoor {
  readonly upload: (
    asker: Proven,
    digest: string,
    part: UploadPart,
    body: AsyncIterable<Uint8Array>,
  ) => Promise<UploadState>
  /** The asker's own upload. */
  readonly uploadState: (asker: Proven, digest: string) => Promise<UploadState | undefined>
  readonly fetchable: (asker: Proven, digest: string) => Promise<Fetchable>
  readonly open: (asker: Proven, file: Fetchable, range: ByteRange) => Promise<ReadableStream<Uint8Array>>
}

/** Everything the HTTP edge calls; `compose.ts` binds it. */
export interface GatewayDeps {
  readonly hubId: string
  /** Where parties reach the hub; asked for at each request, since a free port is known only once it listens. */
  readonly publicUrl: () => string
  readonly clock: Clock
  readonly contracts: ContractSet
  /** Valid examples of a schema, by its path under schemas/. */
  readonly examplesOf: (schema: string) => readonly Example[]
  readonly contractParties: (contract: Contract) => ContractParties
  readonly compareSchemas: (request: CompareRequest) => Promise<Compatibility>
  readonly accept: (token: string) => Promise<Acceptance>
  readonly acceptPlain: (request: PlainRequest) => Promise<Acceptance>
  readonly query: (token: string, source: string | undefined) => Promise<QueryResult>
  readonly authenticate: (token: string, request: AuthenticatedRequest, progress: Progress) => Proven
  /** Signs and records the refusal of a request whose token proved a party. */
  readonly refuse: Refuse
  /** Makes the pending key of a proven request an active one. */
  readonly activateKey: (proven: Proven) => Promise<void>
  readonly status: (exchange: string, party: string) => Promise<ExchangeStatus>
  /** Deliveries for a party and for those it may acknowledge for, as long as it keeps its standing. */
  readonly pull: (asker: Proven, limit: number, waitSeconds: number, signal: AbortSignal) => Promise<Pulled[]>
  readonly files: FileDoor
  readonly caseProgress: (number: string, party: string) => Promise<CaseProgress[]>
  readonly jwks: () => object
  readonly ledgerTasks: readonly LedgerTask[]
  /** What keeps this node from serving, empty when it is ready. */
  readonly notReady: () => Promise<readonly string[]>
  /** Where a request came from. */
  readonly sourceAddress: SourceAddress
  readonly unproven: SourceLimit
  readonly log: (entry: {
    readonly level: 'debug' | 'warn' | 'error'
    readonly message: string
    readonly error?: unknown
    readonly instance?: string
    readonly traceparent?: string
    readonly fields?: Readonly<Record<string, string | number>>
  }) => void
  /** One log line for each request. Off by default: it costs, and a refusal is told to its sender anyway. */
  readonly logsRequests?: boolean
}
