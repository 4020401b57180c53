import { readFileSync } from 'node:fs'
import path from 'node:path'
import { z } from 'zod'
import { HubError } from '#kernel/errors.ts'
import { PARTY_ID } from '#kernel/ids.ts'
import { DEFAULT_RETENTION_DAYS, type RetentionDays } from '#kernel/retention.ts'
import { retention } from './config-retention.ts'

export const ROLES = ['gateway', 'relay', 'connect', 'cases'] as const
export type Role = (typeof ROLES)[number]

export const LOG_LEVELS = ['debug', 'info', 'warn', 'error', 'silent'] as const
export type LogLevel = (typeof LOG_LEVELS)[number]

const milliseconds = z.coerce.number().int().min(1)
const schedule = z
  .string()
  .transform((text) => text.split(',').map(Number))
  .pipe(z.array(z.int().min(1)).max(64))

const addresses = z
  .string()
  .transform((text) => text.split(',').map((address) => address.trim()))
  .pipe(z.array(z.string().regex(/^[^\s:]+:\d{1,5}$/)).min(1))

const networks = z
  .string()
  .transform((text) => text.split(',').map((block) => block.trim()))
  .pipe(z.array(z.cidrv4().or(z.cidrv6())).min(1))

/** Every variable but ENDPOINT_<NAME> and ENDPOINT_<NAME>_SECRET_FILE. */
const schema = z.object({
  HUB_ID: z.string().regex(PARTY_ID).default('dianqiao'),
  HOST: z.string().default('127.0.0.1'),
  PORT: z.coerce.number().int().min(0).max(65_535).default(8080),
  PUBLIC_URL: z.url({ protocol: /^https?$/ }).optional(),
  DATABASE_URL: z.url({ protocol: /^postgres(ql)?$/ }).optional(),
  DATABASE_PASSWORD_FILE: z.string().min(1).optional(),
  DATA_DIR: z.string().min(1).optional(),
  HUB_KEYS_FILE: z.string().min(1).optional(),
  HUB_ENCRYPTION_KEYS_FILE: z.string().min(1).optional(),
  KEYSTORE_FILE: z.string().min(1).optional(),
  PARTY_KEYS_DIR: z.string().min(1).optional(),
  RETENTION_DAYS: retention.optional(),
  ROLES: z
    .string()
    .default(ROLES.join(','))
    .transform((text) => text.split(',').map((role) => role.trim()))
    .pipe(z.array(z.enum(ROLES)).min(1)),
  SANDBOX: z.enum(['on', 'off']).optional(),
  RELAY_REPUBLISH_AFTER_MS: milliseconds.default(600_000),
  RELAY_LEASE_MS: milliseconds.min(300).max(300_000).default(5_000),
  DRAIN_MS: z.coerce.number().int().min(0).max(300_000).optional(),
  STOP_WITHIN_MS: milliseconds.max(600_000).default(45_000),
  SWEEP_EVERY_MS: milliseconds.default(30_000),
  CONNECTOR_SCHEDULE_MS: schedule.optional(),
  CONNECTOR_TIMEOUT_MS: milliseconds.max(120_000).optional(),
  CONNECTOR_LEASE_MS: milliseconds.optional(),
  CONNECTOR_PROBE_MS: milliseconds.optional(),
  UNPROVEN_PER_SECOND: z.coerce.number().int().min(1).default(200),
  UNPROVEN_BURST: z.coerce.number().int().min(1).default(2_000),
  TRUSTED_PROXIES: networks.optional(),
  PARTY_PER_SECOND: z.coerce.number().int().min(1).default(500),
  PARTY_BYTES_PER_SECOND: z.coerce.number().int().min(1).default(4_194_304),
  ASSERTION_MAX_AGE_MS: milliseconds.default(600_000),
  SESSION_MS: milliseconds.default(1_800_000),
  PARTY_IN_FLIGHT: z.coerce.number().int().min(1).default(512),
  FILE_MAX_BYTES: z.coerce.number().int().min(1).max(1_073_741_824).default(67_108_864),
  FILE_QUOTA_BYTES: z.coerce.number().int().min(1).default(1_073_741_824),
  DISPUTE_WORKING_DAYS: z.coerce.number().int().min(1).max(60).default(10),
  OPERATIONS_PORT: z.coerce.number().int().min(0).max(65_535).optional(),
  METRICS_TOKEN_FILE: z.string().min(1).optional(),
  LOG_LEVEL: z.enum(LOG_LEVELS).default('info'),
  KAFKA_BROKERS: addresses.optional(),
  KAFKA_SESSION_TIMEOUT_MS: milliseconds.min(1_000).max(300_000).default(30_000),
  KAFKA_PAUSE_MAX_MS: milliseconds.min(100).default(30_000),
  KAFKA_TLS: z.enum(['on', 'off']).optional(),
  KAFKA_TLS_CA_FILE: z.string().min(1).optional(),
  KAFKA_SASL_USERNAME: z.string().min(1).optional(),
  KAFKA_SASL_PASSWORD_FILE: z.string().min(1).optional(),
  FAULT_POINT: z
    .string()
    .regex(/^[a-z]+\.[a-z-]+(:\d+)?$/)
    .optional(),
})

export const VARIABLES: readonly string[] = Object.keys(schema.shape)

export interface KafkaConfig {
  /** host:port. */
  readonly brokers: readonly string[]
  /** A member that is silent for so long loses its partitions. */
  readonly sessionTimeoutMs: number
  /** The longest that a reader rests after its offset was reset or its consumer had to be replaced. */
  readonly pauseMaxMs: number
  readonly tls: boolean
  /** PEM of the authorities to trust instead of the system's. */
  readonly caFile: string | undefined
  /** SCRAM-SHA-512. */
  readonly sasl: { readonly username: string; readonly passwordFile: string } | undefined
}

export interface Config {
  readonly hubId: string
  readonly host: string
  readonly port: number
  /** Where parties reach the hub; without it, where it listens. */
  readonly publicUrl: string | undefined
  /** An own PostgreSQL; without it the embedded one in `dataDir`. */
  readonly databaseUrl: string | undefined
  readonly dataDir: string
  readonly hubKeysFile: string
  /** What parties wrap for on the broker; its public half is in the JWK Set. */
  readonly hubEncryptionKeysFile: string
  /** The key-encryption keys of the vault. */
  readonly keystoreFile: string
  readonly partyKeysDir: string
  /** After so many days the content of a class is destroyed with its keys. */
  readonly retentionDays: RetentionDays
  readonly roles: readonly Role[]
  /**
   * Scripted peers instead of the utilities' systems. On by default only with the embedded database and no endpoint:
   * a production hub that lacks an endpoint must not start, rather than deliver to a sandbox.
   */
  readonly sandbox: boolean
  /** Base URL by endpoint name of the connector manifests, from ENDPOINT_<NAME>. */
  readonly endpoints: Readonly<Record<string, string>>
  /** The file with the secret of an endpoint, where its manifest asks for one, from ENDPOINT_<NAME>_SECRET_FILE. */
  readonly endpointSecretFiles: Readonly<Record<string, string>>
  readonly republishAfterMs: number
  /** How long a process that was told to stop goes on serving, not ready, so that balancers notice. */
  readonly drainMs: number
  /** After that it has so long to stop, or is ended with exit code 1. */
  readonly stopWithinMs: number
  /** How long the relay of a process that has died keeps the others from taking over. */
  readonly relayLeaseMs: number
  readonly sweepEveryMs: number
  /**
   * Deviations from every connector's manifest: delays between attempts, time-out of a request, lease of a delivery,
   * and how long an open breaker waits for its next probe.
   */
  readonly connectorTuning: {
    readonly scheduleMs?: readonly number[]
    readonly timeoutMs?: number
    readonly leaseMs?: number
    readonly breaker?: { readonly firstProbeMs: number; readonly maxProbeMs: number }
  }
  /** Absent: the bus in the hub's own database. */
  readonly kafka: KafkaConfig | undefined
  readonly unprovenPerSecond: number
  readonly unprovenBurst: number
  /** CIDR blocks of balancers whose X-Forwarded-For is believed. */
  readonly trustedProxies: readonly string[]
  /** What a party without limits of its own may do at one gateway. */
  readonly partyLimit: { readonly perSecond: number; readonly bytesPerSecond: number; readonly inFlight: number }
  /** How old a verification may be when the assertion of it arrives, and how long the session that it opens lasts. */
  readonly assertionMaxAgeMs: number
  readonly sessionMs: number
  /** Cap of one file beside its contract's, and what a party may have unfinished or unnamed; bytes. */
  readonly files: { readonly maxBytes: number; readonly quotaBytes: number }
  /** How long a provider has to answer a dispute, in working days. */
  readonly disputeWorkingDays: number
  /** Where this process answers /health and /metrics whatever its roles; without it the gateway's port does. */
  readonly operationsPort: number | undefined
  /** Holds the bearer token for /metrics; without it only the same machine may read them. */
  readonly metricsTokenFile: string | undefined
  readonly logLevel: LogLevel
  /** `point` or `point:n`: the process kills itself when it reaches the point the n-th time (crash tests). */
  readonly faultPoint: string | undefined
}

/** The variable that holds the address of an endpoint. */
export const endpointVariable = (name: string): string => `ENDPOINT_${name.toUpperCase().replaceAll('-', '_')}`

const ENDPOINT = /^ENDPOINT_([A-Z0-9_]+?)(_SECRET_FILE)?$/

/** Reads and checks the environment once; every fault is listed. An empty variable counts as absent. */
export function readConfig(env: NodeJS.ProcessEnv, isRoot: boolean): Config {
  const given = Object.fromEntries(Object.entries(env).filter(([, value]) => value !== undefined && value !== ''))
  const parsed = schema.safeParse(given)
  if (!parsed.success) {
    throw new HubError('config.invalid', {
      violations: parsed.error.issues.map((issue) => ({
        pointer: `/${issue.path.join('/')}`,
        rule: issue.code,
        message: { zh: `变量取值有误：${issue.message}`, en: `the variable is wrong: ${issue.message}` },
      })),
    })
  }
  const v = parsed.data
  // PostgreSQL runs as an unprivileged user when we are root, so its data cannot stand in root's own folders.
  const dataDir = path.resolve(v.DATA_DIR ?? (isRoot ? '/var/lib/dianqiao' : '.dianqiao'))
  const endpoints = endpointsIn(given, undefined)
  const isTrial = v.DATABASE_URL === undefined && Object.keys(endpoints).length === 0
  return Object.freeze({
    hubId: v.HUB_ID,
    host: v.HOST,
    port: v.PORT,
    publicUrl: v.PUBLIC_URL?.replace(/\/+$/, ''),
    databaseUrl: databaseUrlOf(v),
    dataDir,
    hubKeysFile: path.resolve(v.HUB_KEYS_FILE ?? path.join(dataDir, 'keys', 'hub.json')),
    hubEncryptionKeysFile: path.resolve(v.HUB_ENCRYPTION_KEYS_FILE ?? path.join(dataDir, 'keys', 'hub.enc.json')),
    keystoreFile: path.resolve(v.KEYSTORE_FILE ?? path.join(dataDir, 'keys', 'keystore.json')),
    partyKeysDir: path.resolve(v.PARTY_KEYS_DIR ?? path.join(dataDir, 'keys', 'parties')),
    retentionDays: { ...DEFAULT_RETENTION_DAYS, ...v.RETENTION_DAYS },
    roles: v.ROLES,
    sandbox: v.SANDBOX === 'on' || (v.SANDBOX === undefined && isTrial),
    endpoints,
    endpointSecretFiles: endpointsIn(given, '_SECRET_FILE'),
    republishAfterMs: v.RELAY_REPUBLISH_AFTER_MS,
    drainMs: v.DRAIN_MS ?? (v.DATABASE_URL !== undefined && v.ROLES.includes('gateway') ? 5_000 : 0),
    stopWithinMs: v.STOP_WITHIN_MS,
    relayLeaseMs: v.RELAY_LEASE_MS,
    sweepEveryMs: v.SWEEP_EVERY_MS,
    connectorTuning: {
      ...(v.CONNECTOR_SCHEDULE_MS === undefined ? {} : { scheduleMs: v.CONNECTOR_SCHEDULE_MS }),
      ...(v.CONNECTOR_TIMEOUT_MS === undefined ? {} : { timeoutMs: v.CONNECTOR_TIMEOUT_MS }),
      ...(v.CONNECTOR_LEASE_MS === undefined ? {} : { leaseMs: v.CONNECTOR_LEASE_MS }),
      ...(v.CONNECTOR_PROBE_MS === undefined
        ? {}
        : { breaker: { firstProbeMs: v.CONNECTOR_PROBE_MS, maxProbeMs: v.CONNECTOR_PROBE_MS } }),
    },
    kafka: kafkaOf(v),
    unprovenPerSecond: v.UNPROVEN_PER_SECOND,
    unprovenBurst: v.UNPROVEN_BURST,
    trustedProxies: v.TRUSTED_PROXIES ?? [],
    partyLimit: {
      perSecond: v.PARTY_PER_SECOND,
      bytesPerSecond: v.PARTY_BYTES_PER_SECOND,
      inFlight: v.PARTY_IN_FLIGHT,
    },
    assertionMaxAgeMs: v.ASSERTION_MAX_AGE_MS,
    sessionMs: v.SESSION_MS,
    files: { maxBytes: v.FILE_MAX_BYTES, quotaBytes: v.FILE_QUOTA_BYTES },
    disputeWorkingDays: v.DISPUTE_WORKING_DAYS,
    operationsPort: v.OPERATIONS_PORT,
    metricsTokenFile: v.METRICS_TOKEN_FILE,
    logLevel: v.LOG_LEVEL,
    faultPoint: v.FAULT_POINT,
  })
}

/** By endpoint name: addresses, or what a suffix of the variable tells of them. */
function endpointsIn(given: NodeJS.ProcessEnv, suffix: string | undefined): Record<string, string> {
  return Object.fromEntries(
    Object.entries(given).flatMap(([variable, value]) => {
      const [, name, ending] = ENDPOINT.exec(variable) ?? []
      return name === undefined || ending !== suffix ? [] : [[name.toLowerCase().replaceAll('_', '-'), String(value)]]
    }),
  )
}

function kafkaOf(v: z.infer<typeof schema>): KafkaConfig | undefined {
  const { KAFKA_BROKERS: brokers, KAFKA_SASL_USERNAME: username, KAFKA_SASL_PASSWORD_FILE: passwordFile } = v
  if ((username === undefined) !== (passwordFile === undefined)) {
    throw new HubError('config.invalid', {
      detail: {
        zh: 'KAFKA_SASL_USERNAME 与 KAFKA_SASL_PASSWORD_FILE 须同时给出',
        en: 'KAFKA_SASL_USERNAME and KAFKA_SASL_PASSWORD_FILE are given together',
      },
    })
  }
  if (brokers === undefined) return undefined
  return {
    brokers,
    sessionTimeoutMs: v.KAFKA_SESSION_TIMEOUT_MS,
    pauseMaxMs: v.KAFKA_PAUSE_MAX_MS,
    tls: v.KAFKA_TLS === 'on' || (v.KAFKA_TLS === undefined && v.KAFKA_TLS_CA_FILE !== undefined),
    caFile: v.KAFKA_TLS_CA_FILE,
    sasl: username === undefined || passwordFile === undefined ? undefined : { username, passwordFile },
  }
}

/** The process environment; the one place that reads it. */
export const configFromProcess = (overrides: NodeJS.ProcessEnv = {}): Config =>
  readConfig({ ...process.env, ...overrides }, process.getuid?.() === 0)

/** What a file holds that a variable names, without the line end. Throws `config.invalid`. */
export function readSecret(variable: string, file: string): string {
  try {
    return readFileSync(file, 'utf8').trimEnd()
  } catch (cause) {
    const detail = { zh: `${variable} 指向的文件无法读取`, en: `the file named by ${variable} cannot be read` }
    throw new HubError('config.invalid', { detail, cause })
  }
}

/** DATABASE_URL with the password of DATABASE_PASSWORD_FILE, so that no environment holds it. */
function databaseUrlOf({ DATABASE_URL, DATABASE_PASSWORD_FILE }: z.infer<typeof schema>): string | undefined {
  if (DATABASE_URL === undefined || DATABASE_PASSWORD_FILE === undefined) return DATABASE_URL
  const url = new URL(DATABASE_URL)
  url.password = encodeURIComponent(readSecret('DATABASE_PASSWORD_FILE', DATABASE_PASSWORD_FILE))
  return url.href
}
