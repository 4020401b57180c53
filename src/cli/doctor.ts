import { existsSync } from 'node:fs'
import { statfs } from 'node:fs/promises'
import path from 'node:path'
import pc from 'picocolors'
import { type Config, configFromProcess } from '#config.ts'
import type { Manifest } from '#connect/manifest.ts'
import { systemClock } from '#kernel/clock.ts'
import { HubError } from '#kernel/errors.ts'
import { type Db, openDb } from '#store/db.ts'
import { backlogFindings } from './doctor/backlog.ts'
import { brokerFindings } from './doctor/broker.ts'
import { contractFindings, keyFindings, readManifests } from './doctor/files.ts'
import { examined, type Finding, sound, unsound, unsoundBecause } from './doctor/finding.ts'
import { peerFindings } from './doctor/peers.ts'
import { clockFindings, databaseFindings, registerFindings, schemaFindings } from './doctor/store.ts'
import { vaultFindings } from './doctor/vault.ts'
import { createLog } from './log.ts'
import { printJson } from './output.ts'
import { borrowStore, type RunningStore } from './with-store.ts'

/** `dianqiao doctor`: what is wrong and what to do, in both languages. Exit code 0 when nothing is wrong, else 1. */
export async function doctor(json: boolean): Promise<number> {
  let findings: readonly Finding[]
  try {
    findings = await examine(configFromProcess())
  } catch (error) {
    findings = [unsoundBecause('configuration', error)]
  }
  for (const finding of findings) {
    if (json) printJson(finding)
    else process.stdout.write(`${lines(finding).join('\n')}\n`)
  }
  return findings.every(({ ok }) => ok) ? 0 : 1
}

/** Looks at everything this configuration names and changes nothing of it; what depends on a failed check is left out. */
export async function examine(config: Config): Promise<readonly Finding[]> {
  const { manifests: all, lookUps: everyLookUp, findings: connectors } = await readManifests()
  const manifests = config.roles.includes('connect') ? all : []
  const lookUps = config.roles.includes('gateway') ? everyLookUp : []
  return [
    sound('configuration', `角色 ${config.roles.join(',')}`, `roles ${config.roles.join(',')}`),
    ...(await examined('contracts', contractFindings)),
    ...connectors,
    ...(await examined('keys', () => keyFindings(config, manifests))),
    ...(await examined('disk', () => diskFindings(config))),
    ...(await examined('database', () => withStore(config, (db) => storeFindings(db, config, manifests)))),
    ...(await examined('peers', () => peerFindings(config, manifests, lookUps))),
  ]
}

async function storeFindings(db: Db, config: Config, manifests: readonly Manifest[]): Promise<readonly Finding[]> {
  const database = await databaseFindings(db, config)
  const clock = await examined('clock', () => clockFindings(db, systemClock))
  const schema = await examined('schema', () => schemaFindings(db))
  if (schema.some(({ ok }) => !ok)) return [...database, ...clock, ...schema]
  return [
    ...database,
    ...clock,
    ...schema,
    ...(await examined('vault', () => vaultFindings(db, config))),
    ...(await examined('register', () => registerFindings(db, config, manifests))),
    ...(await examined('broker', () => brokerFindings(db, config, manifests, createLog('silent')))),
    ...(await examined('backlog', () => backlogFindings(db))),
  ]
}

/** The configured database; the embedded one of a running hub, or else its data, started for as long as this takes. */
async function withStore<R>(config: Config, use: (db: Db) => Promise<R>): Promise<R> {
  const store = await reach(config)
  const db = openDb(store.url, { max: 2, onError: () => undefined })
  try {
    return await use(db)
  } catch (cause) {
    throw cause instanceof HubError ? cause : new HubError('store.unavailable', { cause })
  } finally {
    await db.destroy()
    await store.stop()
  }
}

async function reach(config: Config): Promise<RunningStore> {
  const home = path.join(config.dataDir, 'postgres')
  if (config.databaseUrl === undefined && !existsSync(path.join(home, 'cluster'))) {
    throw new HubError('store.unavailable', {
      detail: {
        zh: `${home} 中尚无数据库；首次运行 npm start 时建立`,
        en: `there is no database in ${home} yet; the first npm start makes one`,
      },
    })
  }
  return borrowStore(config, createLog('silent'))
}

const GIB = 1024 ** 3

/** Keys and the embedded database stand in the data directory: a full disk stops acceptance. */
async function diskFindings({ dataDir }: Config): Promise<readonly Finding[]> {
  let place = dataDir
  while (!existsSync(place)) place = path.dirname(place)
  const { bavail, bsize } = await statfs(place)
  const free = `${((bavail * bsize) / GIB).toFixed(1)} GiB`
  if (bavail * bsize >= GIB) return [sound('disk', `${place} 剩余 ${free}`, `${free} free in ${place}`)]
  return [
    unsound(
      'disk',
      { zh: `${place} 仅剩 ${free}`, en: `only ${free} free in ${place}` },
      { zh: '扩容，或将 DATA_DIR 移到更大的卷', en: 'enlarge the volume, or move DATA_DIR to a larger one' },
    ),
  ]
}

function lines({ name, ok, what, whatToDo }: Finding): string[] {
  if (ok) return [`${pc.green('✓')} ${name}: ${what.zh} / ${what.en}`]
  return [
    `${pc.red('✗')} ${name}: ${what.zh}`,
    `    ${what.en}`,
    ...(whatToDo === null ? [] : [`    → ${whatToDo.zh}`, `    → ${whatToDo.en}`]),
  ]
}
