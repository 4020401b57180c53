import { lstat, readFile, stat } from 'node:fs/promises'
import { dirname } from 'node:path'
import { HubError } from '#kernel/errors.ts'

/** The uid and gid a server process runs under; undefined where it simply runs as we do. */
export interface Account {
  readonly uid: number
  readonly gid: number
}

export const runsAsRoot = (): boolean => process.getuid?.() === 0

/**
 * The account for the server: none unless we are root, which PostgreSQL refuses. A cluster that an ordinary user
 * made keeps its owner; a new one belongs to `nobody`. Throws `store.unavailable` when the system has no `nobody`.
 */
export async function serverAccount(clusterDir: string): Promise<Account | undefined> {
  if (!runsAsRoot()) return undefined
  const cluster = await stat(clusterDir).catch(() => undefined)
  if (cluster !== undefined && cluster.uid !== 0) return { uid: cluster.uid, gid: cluster.gid }
  const passwd = await readFile('/etc/passwd', 'utf8').catch(() => '')
  const fields = /^nobody:.*$/m.exec(passwd)?.[0].split(':')
  const account = { uid: Number(fields?.[2]), gid: Number(fields?.[3]) }
  if (Number.isInteger(account.uid) && Number.isInteger(account.gid) && account.uid !== 0) return account
  throw new HubError('store.unavailable', {
    detail: {
      zh: '以 root 运行时内嵌 PostgreSQL 需要系统账号 nobody；请建立该账号，或设置 DATABASE_URL',
      en: 'as root the embedded PostgreSQL needs the account nobody; create it, or set DATABASE_URL',
    },
  })
}

/** The first ancestor of `path` (or `path` itself) that the account cannot enter, judged by mode bits. */
export async function firstClosedDirectory(path: string, account: Account): Promise<string | undefined> {
  const parent = dirname(path)
  const above = parent === path ? undefined : await firstClosedDirectory(parent, account)
  if (above !== undefined) return above
  const found = await lstat(path)
  const shift = found.uid === account.uid ? 6 : found.gid === account.gid ? 3 : 0
  return ((found.mode >> shift) & 0o1) === 0 ? path : undefined
}
