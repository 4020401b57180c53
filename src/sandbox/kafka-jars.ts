import { execFile } from 'node:child_process'
import { hash } from 'node:crypto'
import { existsSync } from 'node:fs'
import { mkdir, readdir, readFile, rename, rm } from 'node:fs/promises'
import { join } from 'node:path'
import { promisify } from 'node:util'
import { HubError } from '#kernel/errors.ts'

const POM = join(import.meta.dirname, 'kafka', 'pom.xml')
/** Kafka 4 brokers need Java 17. */
const MIN_JAVA = 17
const MAVEN_LIMIT_MS = 600_000

/** How to run a class of Kafka: arguments of `java` up to the class name. */
export interface KafkaJars {
  readonly directory: string
  readonly classPath: string
  /** Class data sharing halves the start of the JVM; the file exists after the first run. */
  readonly archive: string
}

/** Why no local broker can run here, or undefined. Cheap: nothing is downloaded. */
export async function missingForKafka(cacheDir: string): Promise<string | undefined> {
  const java = await run('java', ['-version'])
  if (java === undefined) return 'no java'
  const major = Number(/version "(\d+)/.exec(java)?.[1])
  if (!(major >= MIN_JAVA)) return `java ${MIN_JAVA} or later, found ${major}`
  if (existsSync(join(await directoryOf(cacheDir), 'lib'))) return undefined
  return (await run('mvn', ['-v'])) === undefined ? 'no mvn to fetch the jars' : undefined
}

/** The jars of the broker in `cacheDir`, fetched by Maven the first time. Throws `bus.unavailable` when that fails. */
export async function kafkaJars(cacheDir: string): Promise<KafkaJars> {
  const directory = await directoryOf(cacheDir)
  const lib = join(directory, 'lib')
  if (!existsSync(lib)) await fetchJars(cacheDir, directory)
  const jars = (await readdir(lib)).filter((file) => file.endsWith('.jar')).sort()
  return {
    directory,
    classPath: jars.map((jar) => join(lib, jar)).join(':'),
    archive: join(directory, 'classes.jsa'),
  }
}

/** A change of the POM is another folder, so that old jars are never mixed with new ones. */
async function directoryOf(cacheDir: string): Promise<string> {
  return join(cacheDir, hash('sha256', await readFile(POM, 'utf8'), 'hex').slice(0, 12))
}

async function fetchJars(cacheDir: string, directory: string): Promise<void> {
  const draft = join(cacheDir, `draft-${process.pid}`)
  await mkdir(cacheDir, { recursive: true })
  const args = ['-q', '-B', '-f', POM, 'dependency:copy-dependencies', '-DincludeScope=runtime']
  try {
    const output = `-DoutputDirectory=${join(draft, 'lib')}`
    await promisify(execFile)('mvn', [...args, output], { timeout: MAVEN_LIMIT_MS })
    // Another process may have been faster: its folder is as good.
    await rename(draft, directory).catch((error: unknown) => {
      if (!existsSync(directory)) throw error
    })
  } catch (cause) {
    throw new HubError('bus.unavailable', {
      detail: { zh: 'Maven 无法取得 Kafka 的 jar 文件', en: 'Maven could not fetch the jars of Kafka' },
      cause,
    })
  } finally {
    await rm(draft, { recursive: true, force: true })
  }
}

async function run(program: string, args: readonly string[]): Promise<string | undefined> {
  const ended = await promisify(execFile)(program, args).catch(() => undefined)
  return ended === undefined ? undefined : ended.stdout + ended.stderr
}
