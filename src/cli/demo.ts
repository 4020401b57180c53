import { chmodSync, mkdtempSync, rmSync } from 'node:fs'
import os from 'node:os'
import path from 'node:path'
import { type Config, configFromProcess } from '#config.ts'
import { boot, prepare, type RunningHub } from './boot.ts'
import {
  caseProgress,
  licenceFetch,
  peerRecovers,
  platformPulls,
  publishLicences,
  resultBeforeApplication,
  resultsFindTheirUtility,
  samePushAgain,
} from './demo/acts.ts'
import { busDoor } from './demo/bus-door.ts'
import { beforeTheCase, consentWithdrawn } from './demo/consent.ts'
import { disputedLicence } from './demo/disputes.ts'
import {
  oneLicenceBundle,
  propertyVerified,
  publishDocuments,
  residentBundle,
  suspendedLicence,
} from './demo/documents.ts'
import { licenceCopyTravels } from './demo/files.ts'
import { liveLookUps } from './demo/lookups.ts'
import { plainDoor } from './demo/plain-door.ts'
import { makeTopics, type RealBackends, startBackends, untilBusReads } from './demo/real.ts'
import { refusals } from './demo/refusals.ts'
import { openScenario } from './demo/scenario.ts'
import { openStage } from './demo/stage.ts'
import { createLog } from './log.ts'
import { say } from './output.ts'

export interface DemoOptions {
  /** One JSON line a step instead of a table. */
  readonly json: boolean
  /** Over a Kafka and on a PostgreSQL that are started for the play, instead of the hub's embedded ones. */
  readonly real: boolean
}

/** Retries in milliseconds, so that nobody waits for the real schedule. */
const TUNING = { scheduleMs: [50, 100, 200, 400, 800], settleMs: 50, pollMs: 25 }

/**
 * Plays the main job on a hub of its own (database in a temporary folder, sandbox peers) and checks every answer with
 * public keys alone. Exit code 0 when all was as it should be, else 1.
 */
export async function demo({ json, real }: DemoOptions): Promise<number> {
  const startedAt = performance.now()
  const dataDir = mkdtempSync(path.join(os.tmpdir(), 'dianqiao-demo-'))
  // The embedded server runs as another user when we are root: it must be able to pass through, not to read.
  chmodSync(dataDir, 0o711)
  try {
    const backends = real ? await startBackends(dataDir) : undefined
    try {
      const hub = await bootHub(dataDir, backends)
      try {
        const stage = openStage(json, (line) => process.stdout.write(`${line}\n`))
        await play(hub, stage)
        return stage.finish((performance.now() - startedAt) / 1000) ? 0 : 1
      } finally {
        await hub.stop()
      }
    } finally {
      await backends?.stop()
    }
  } finally {
    rmSync(dataDir, { recursive: true, force: true })
  }
}

async function play(hub: RunningHub, stage: ReturnType<typeof openStage>): Promise<void> {
  const scenario = openScenario(hub, stage)
  await publishLicences(scenario)
  await publishDocuments(scenario)
  await resultsFindTheirUtility(scenario)
  await platformPulls(scenario)
  await resultBeforeApplication(scenario)
  await samePushAgain(scenario)
  await peerRecovers(scenario)
  await licenceFetch(scenario)
  await caseProgress(scenario)
  await liveLookUps(scenario)
  await licenceCopyTravels(scenario)
  await oneLicenceBundle(scenario)
  await residentBundle(scenario)
  await propertyVerified(scenario)
  await beforeTheCase(scenario)
  await consentWithdrawn(scenario)
  await suspendedLicence(scenario)
  await disputedLicence(scenario)
  await busDoor(scenario)
  await plainDoor(scenario)
  await refusals(scenario)
}

async function bootHub(dataDir: string, backends: RealBackends | undefined): Promise<RunningHub> {
  const config = configOf(dataDir, backends)
  if (backends !== undefined) {
    await prepare(config, backends.databaseUrl)
    await makeTopics(backends)
  }
  const hub = await boot(config, createLog('error'), { tuning: TUNING })
  if (backends === undefined) return hub
  await untilBusReads(hub.core.bus)
  say(
    `Kafka ${backends.brokers.join(',')}, PostgreSQL ${new URL(backends.databaseUrl).pathname.slice(1)}: both of this play`,
  )
  return hub
}

/** Nothing of a developer's own hub: no other database, broker or address. */
const configOf = (dataDir: string, backends: RealBackends | undefined): Config =>
  configFromProcess({
    DATA_DIR: dataDir,
    PORT: '0',
    PUBLIC_URL: '',
    SANDBOX: 'on',
    DATABASE_URL: backends?.databaseUrl ?? '',
    KAFKA_BROKERS: backends?.brokers.join(',') ?? '',
    KAFKA_TLS: '',
    KAFKA_TLS_CA_FILE: '',
    KAFKA_SASL_USERNAME: '',
    KAFKA_SASL_PASSWORD_FILE: '',
  })
