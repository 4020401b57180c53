import { chmodSync, mkdtempSync, rmSync } from 'node:fs'
import os from 'node:os'
import path from 'node:path'
import { configFromProcess } from '#config.ts'
import { boot } from './boot.ts'
import {
  licenceFetch,
  peerRecovers,
  platformPulls,
  publishLicences,
  resultBeforeApplication,
  resultsFindTheirUtility,
  samePushAgain,
} from './demo/acts.ts'
import { refusals } from './demo/refusals.ts'
import { openScenario } from './demo/scenario.ts'
import { openStage } from './demo/stage.ts'
import { createLog } from './log.ts'

/** Retries in milliseconds, so that nobody waits for the real schedule. */
const TUNING = { scheduleMs: [50, 100, 200, 400, 800], settleMs: 50, pollMs: 25 }

/**
 * Plays the main job on a hub of its own (embedded PostgreSQL in a temporary folder, sandbox peers) and checks every
 * answer with public keys alone. Exit code 0 when all was as it should be, else 1.
 */
export async function demo(json: boolean): Promise<number> {
  const startedAt = performance.now()
  const dataDir = mkdtempSync(path.join(os.tmpdir(), 'dianqiao-demo-'))
  // The embedded server runs as another user when we are root: it must be able to pass through, not to read.
  chmodSync(dataDir, 0o711)
  try {
    const config = configFromProcess({ DATA_DIR: dataDir, PORT: '0', DATABASE_URL: '', PUBLIC_URL: '', SANDBOX: 'on' })
    const hub = await boot(config, createLog('error'), {
      tuning: TUNING,
    })
    try {
      const stage = openStage(json, (line) => process.stdout.write(`${line}\n`))
      const scenario = openScenario(hub, stage)
      await publishLicences(scenario)
      await resultsFindTheirUtility(scenario)
      await platformPulls(scenario)
      await resultBeforeApplication(scenario)
      await samePushAgain(scenario)
      await peerRecovers(scenario)
      await licenceFetch(scenario)
      await refusals(scenario)
      return stage.finish((performance.now() - startedAt) / 1000) ? 0 : 1
    } finally {
      await hub.stop()
    }
  } finally {
    rmSync(dataDir, { recursive: true, force: true })
  }
}
