import path from 'node:path'
import type { Config } from '#config.ts'
import type { Manifest } from '#connect/manifest.ts'
import type { Clock } from '#kernel/clock.ts'
import { readPartySigner } from '#parties/key-files.ts'
import type { Db } from '#store/db.ts'
import { clockOffsetMs } from '#store/health-queries.ts'
import { requireCurrentSchema } from '#store/migrate.ts'
import { serverSettings } from '#store/operations-queries.ts'
import { type RegisterRows, readRegister } from '#store/party-queries.ts'
import { openKeyRing } from '#trust/key-ring.ts'
import { type Finding, sound, unsound } from './finding.ts'

const LEAST_VERSION = 180_000
const MAX_OFFSET_MS = 2_000

/** It answers, it is new enough, and what it says is committed outlives a power cut. */
export async function databaseFindings(db: Db, config: Config): Promise<readonly Finding[]> {
  const { version, fsync, synchronousCommit, fullPageWrites } = await serverSettings(db)
  const where = config.databaseUrl === undefined ? path.join(config.dataDir, 'postgres') : 'DATABASE_URL'
  const number = `${Math.floor(version / 10_000)}.${version % 10_000}`
  const findings = [sound('database', `PostgreSQL ${number}，${where}`, `PostgreSQL ${number}, ${where}`)]
  if (version < LEAST_VERSION) {
    findings.push(
      unsound(
        'database version',
        { zh: `PostgreSQL ${number} 低于 18`, en: `PostgreSQL ${number} is older than 18` },
        { zh: '升级到 PostgreSQL 18 或更高版本', en: 'upgrade to PostgreSQL 18 or later' },
      ),
    )
  }
  const lossy = Object.entries({ fsync, synchronous_commit: synchronousCommit, full_page_writes: fullPageWrites })
    .filter(([, value]) => value === 'off')
    .map(([name]) => name)
  if (lossy.length > 0) {
    const list = lossy.join(', ')
    findings.push(
      unsound(
        'durability',
        {
          zh: `${list} 为 off：断电会丢失已出具回执的交换`,
          en: `${list} off: a power cut loses exchanges that have a receipt`,
        },
        { zh: '在 postgresql.conf 中设为 on 并重新加载', en: 'set it on in postgresql.conf and reload' },
      ),
    )
  }
  return findings
}

/** The tables are those of this program. */
export async function schemaFindings(db: Db): Promise<readonly Finding[]> {
  await requireCurrentSchema(db)
  return [sound('schema', '数据库结构为当前版本', 'the schema is current')]
}

/** Freshness and leases are judged by clocks that must agree. */
export async function clockFindings(db: Db, clock: Clock): Promise<readonly Finding[]> {
  const ms = Math.round(await clockOffsetMs(db, clock))
  if (Math.abs(ms) <= MAX_OFFSET_MS) {
    return [sound('clock', `与数据库相差 ${ms} 毫秒`, `${ms} ms ahead of the database`)]
  }
  return [
    unsound(
      'clock',
      {
        zh: `本机时钟与数据库相差 ${ms} 毫秒，超过 2 秒即不就绪`,
        en: `${ms} ms ahead of the database; beyond 2 s this node is not ready`,
      },
      {
        zh: '在两台机器上启用时间同步（chrony 或 systemd-timesyncd）',
        en: 'synchronise both machines (chrony or systemd-timesyncd)',
      },
    ),
  ]
}

/** The register is filled, and holds the public half of every key that this process signs with. */
export async function registerFindings(
  db: Db,
  config: Config,
  manifests: readonly Manifest[],
): Promise<readonly Finding[]> {
  const register = await readRegister(db)
  if (register.parties.length === 0) {
    return [
      unsound(
        'register',
        { zh: '登记簿为空：没有任何一方能够提交', en: 'the register is empty: nobody can send anything' },
        {
          zh: '运行 dianqiao seed，或登记各方及其公钥',
          en: 'run dianqiao seed, or register the parties and their keys',
        },
      ),
    ]
  }
  const own = [
    { party: config.hubId, kid: openKeyRing(config.hubKeysFile, false).signer.kid },
    ...manifests.flatMap(({ party }) => {
      const kid = readPartySigner(config.partyKeysDir, party)?.kid
      return kid === undefined ? [] : [{ party, kid }]
    }),
  ]
  const unregistered = own.filter((one) => !isActive(register, one))
  const { length } = register.parties
  if (unregistered.length === 0) return [sound('register', `${length} 方`, `${length} parties`)]
  const list = unregistered.map(({ party, kid }) => `${party} ${kid}`).join(', ')
  return [
    unsound(
      'register',
      { zh: `下列密钥未登记或已停用：${list}`, en: `these keys are not registered or not active: ${list}` },
      {
        zh: '确认 HUB_KEYS_FILE 与 PARTY_KEYS_DIR 属于本数据库，然后运行 dianqiao seed',
        en: 'make sure that HUB_KEYS_FILE and PARTY_KEYS_DIR belong to this database, then run dianqiao seed',
      },
    ),
  ]
}

const isActive = (register: RegisterRows, own: { readonly party: string; readonly kid: string }): boolean =>
  register.keys.some((key) => key.kid === own.kid && key.party === own.party && key.state === 'active')
