import { existsSync } from 'node:fs'
import { chmod, chown, mkdir, mkdtemp, open, readdir, readFile, realpath, rename, rm } from 'node:fs/promises'
import { dirname, join, resolve } from 'node:path'
import pg from 'pg'
import { HubError } from '#kernel/errors.ts'
import { sqlState } from './db.ts'
import { type Account, firstClosedDirectory, runsAsRoot, serverAccount } from './embedded-account.ts'
import { makeOpenDirectory, postgresBinaries } from './embedded-binaries.ts'
import { claimDirectory, dismissOrphan } from './embedded-owner.ts'
import { launchServer, runToEnd } from './embedded-process.ts'

export interface EmbeddedOptions {
  /** Belongs to this server alone; created when missing, kept when it stops. */
  readonly dataDir: string
  /** False only for tests: a crash may then lose what was committed. */
  readonly fsync?: boolean
  readonly log?: (line: string) => void
  /** Where binaries are copied to when the server's account cannot read the checkout. */
  readonly cacheDir?: string
  /** Further server settings, which win over ours. */
  readonly settings?: Readonly<Record<string, string>>
}

export interface EmbeddedPostgres {
  /** Connects to the database `dianqiao` through the server's Unix socket. */
  readonly url: string
  readonly pid: number
  /** Whether this start created the data. */
  readonly firstStart: boolean
  /** Fast shutdown, bounded; safe to call twice. End the pools first: it breaks open connections. */
  readonly stop: () => Promise<void>
}

const DATABASE = 'dianqiao'
/** sun_path holds 104 bytes on macOS and 108 on Linux, with a closing zero. */
const MAX_SOCKET_PATH = 102
const SOCKET_NAME = '.s.PGSQL.5432'

/** Small and quick, and as durable as PostgreSQL can be. */
const SETTINGS = Object.freeze({
  listen_addresses: '',
  port: '5432',
  unix_socket_permissions: '0700',
  shared_buffers: '64MB',
  max_connections: '60',
  max_wal_size: '1GB',
  // Compressing pages takes twice the CPU time of what wrote to them.
  wal_compression: 'off',
  // Filling each new segment with zeros stalls commits for tens of milliseconds on a young database.
  wal_init_zero: 'off',
  jit: 'off',
  huge_pages: 'off',
  io_method: 'sync',
  max_logical_replication_workers: '0',
  update_process_title: 'off',
  timezone: 'UTC',
  log_timezone: 'UTC',
  // Rejected statements and rows can hold personal data, and their errors reach the caller anyway.
  log_min_messages: 'log',
  log_min_error_statement: 'panic',
  log_error_verbosity: 'terse',
  log_checkpoints: 'off',
})
const DURABLE = Object.freeze({ fsync: 'on', synchronous_commit: 'on', full_page_writes: 'on' })
const FAST = Object.freeze({ fsync: 'off', synchronous_commit: 'off', full_page_writes: 'off' })

/**
 * Starts a private PostgreSQL 18 on `dataDir`: initdb once, Unix socket only, `trust` inside a directory that nobody
 * else can enter. As root it runs under an unprivileged account. The server of a dead process is ended first.
 * Throws `store.directory_in_use` while a living process owns the directory, `config.invalid` when the directory holds
 * something else, `store.unavailable` when the server cannot run here (detail says why).
 */
export async function startEmbeddedPostgres(options: EmbeddedOptions): Promise<EmbeddedPostgres> {
  if (process.platform === 'win32') {
    throw unavailable(
      'Windows 上不支持内嵌 PostgreSQL（Node 无法连接 Unix 套接字）；请设置 DATABASE_URL',
      'the embedded PostgreSQL does not run on Windows (Node has no Unix sockets there); set DATABASE_URL',
    )
  }
  const wanted = resolve(options.dataDir)
  const account = await serverAccount(join(wanted, 'cluster'))
  const dataDir = await prepareHome(wanted, account)
  const release = await claimDirectory(dataDir)
  try {
    return await startClaimed(options, dataDir, account, release)
  } catch (error) {
    await release()
    throw error
  }
}

async function startClaimed(
  options: EmbeddedOptions,
  dataDir: string,
  account: Account | undefined,
  release: () => Promise<void>,
): Promise<EmbeddedPostgres> {
  const log = options.log ?? (() => undefined)
  const durable = options.fsync !== false
  const cacheDir = options.cacheDir ?? (runsAsRoot() ? '/var/cache/dianqiao' : join(dataDir, 'binaries'))
  const binaries = await postgresBinaries(account, cacheDir)
  const cluster = join(dataDir, 'cluster')
  const firstStart = !existsSync(cluster)
  if (firstStart) await createCluster(binaries, dataDir, account, durable)
  else await dismissOrphan(cluster, log)

  const socket = await socketDirectory(dataDir, account)
  try {
    const settings = { ...SETTINGS, ...(durable ? DURABLE : FAST), ...options.settings }
    const server = await launchServer({ binaries, cluster, socketDir: socket.path, settings, account, log })
    const stop = once(async () => {
      await server.stop()
      await socket.remove()
      await release()
    })
    try {
      await ensureDatabase(socket.path, firstStart)
    } catch (error) {
      await stop()
      throw error
    }
    return { url: socketUrl(socket.path, DATABASE), pid: server.pid, firstStart, stop }
  } catch (error) {
    await socket.remove()
    throw error
  }
}

async function prepareHome(dataDir: string, account: Account | undefined): Promise<string> {
  await makeOpenDirectory(dirname(dataDir))
  await mkdir(dataDir, { mode: 0o700 }).catch((error: NodeJS.ErrnoException) => {
    if (error.code !== 'EEXIST') throw error
  })
  const home = await realpath(dataDir)
  const entries = await readdir(home)
  // We are about to change owner and mode, so a directory with other things in it is not ours to take.
  if (entries.length > 0 && !entries.some((name) => /^(?:cluster(?:\.|$)|owner\.json|binaries$)/.test(name))) {
    throw new HubError('config.invalid', {
      detail: {
        zh: `目录 ${home} 非空且不是内嵌 PostgreSQL 的数据目录`,
        en: `the directory ${home} holds other files and is no data directory of the embedded PostgreSQL`,
      },
    })
  }
  await chmod(home, 0o700)
  if (account === undefined) return home
  const closed = await firstClosedDirectory(dirname(home), account)
  if (closed !== undefined) {
    throw unavailable(
      `PostgreSQL 所用的非特权账号无法进入 ${closed}；请为数据目录另选位置，例如 /var/lib/dianqiao`,
      `the unprivileged account of PostgreSQL cannot enter ${closed}; choose a data directory such as /var/lib/dianqiao`,
    )
  }
  await chown(home, account.uid, account.gid)
  return home
}

/** initdb into a draft that is renamed when whole: an interrupted first start leaves nothing half-made behind. */
async function createCluster(
  binaries: string,
  dataDir: string,
  account: Account | undefined,
  durable: boolean,
): Promise<void> {
  for (const name of await readdir(dataDir)) {
    if (name.startsWith('cluster.')) await rm(join(dataDir, name), { recursive: true })
  }
  const draft = join(dataDir, `cluster.${process.pid}`)
  const locale = ['--encoding=UTF8', '--locale-provider=builtin', '--builtin-locale=C.UTF-8', '--locale=C']
  const sync = durable ? [] : ['--no-sync']
  const args = ['-D', draft, '-U', 'dianqiao', '--auth=trust', '--no-instructions', ...locale, ...sync]
  await runToEnd(join(binaries, 'bin', 'initdb'), args, dataDir, account)
  await rename(draft, join(dataDir, 'cluster'))
  if (!durable) return
  const directory = await open(dataDir)
  try {
    await directory.sync()
  } finally {
    await directory.close()
  }
}

interface SocketDirectory {
  readonly path: string
  readonly remove: () => Promise<void>
}

/** The data directory itself, or a short private one where the path is too long or PostgreSQL would split it. */
async function socketDirectory(dataDir: string, account: Account | undefined): Promise<SocketDirectory> {
  const fits = Buffer.byteLength(join(dataDir, SOCKET_NAME)) <= MAX_SOCKET_PATH && /^[\w./-]+$/.test(dataDir)
  if (fits) return { path: dataDir, remove: async () => undefined }
  const path = await mkdtemp('/tmp/dianqiao-')
  if (account !== undefined) await chown(path, account.uid, account.gid)
  return { path, remove: () => rm(path, { recursive: true, force: true }) }
}

/** The port is part of the socket's name, so it is spelt out: pg would else take PGPORT. */
const socketUrl = (socketDir: string, database: string): string =>
  `postgresql:///${database}?host=${encodeURIComponent(socketDir)}&port=5432&user=dianqiao`

/**
 * Where the server that another process runs on this data directory can be reached (its lock file: line 4 is the port,
 * line 5 the socket's directory), or undefined when there is no such file.
 */
export async function runningEmbeddedUrl(dataDir: string): Promise<string | undefined> {
  const text = await readFile(join(dataDir, 'cluster', 'postmaster.pid'), 'utf8').catch(() => undefined)
  const socketDir = text?.split('\n')[4]
  return socketDir === undefined || socketDir === '' ? undefined : socketUrl(socketDir, DATABASE)
}

async function ensureDatabase(socketDir: string, firstStart: boolean): Promise<void> {
  const create = (): Promise<void> =>
    withClient(socketUrl(socketDir, 'postgres'), (client) => client.query(`CREATE DATABASE ${DATABASE}`))
  if (firstStart) return create()
  try {
    await withClient(socketUrl(socketDir, DATABASE), (client) => client.query('SELECT 1'))
  } catch (error) {
    // 3D000, invalid_catalog_name: the first start was cut off between initdb and here
    if (sqlState(error) !== '3D000') throw new HubError('store.unavailable', { cause: error })
    await create()
  }
}

async function withClient(url: string, use: (client: pg.Client) => Promise<unknown>): Promise<void> {
  const client = new pg.Client({ connectionString: url })
  await client.connect()
  try {
    await use(client)
  } finally {
    await client.end()
  }
}

function once(act: () => Promise<void>): () => Promise<void> {
  let acted: Promise<void> | undefined
  return () => {
    acted ??= act()
    return acted
  }
}

const unavailable = (zh: string, en: string): HubError => new HubError('store.unavailable', { detail: { zh, en } })
