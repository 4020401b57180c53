import { type ChildProcess, execFile, spawn } from 'node:child_process'
import { once } from 'node:events'
import { existsSync } from 'node:fs'
import { connect } from 'node:net'
import { setTimeout as sleep } from 'node:timers/promises'
import { promisify } from 'node:util'
import { HubError } from '#kernel/errors.ts'
import type { KafkaJars } from './kafka-jars.ts'

const START_LIMIT_MS = 60_000
const STOP_LIMIT_MS = 20_000

export interface JavaProcess {
  /** A SIGTERM that is not obeyed within 20 s is followed by SIGKILL. */
  readonly stop: (signal: 'SIGTERM' | 'SIGKILL') => Promise<void>
  readonly signal: (signal: 'SIGSTOP' | 'SIGCONT') => void
}

/**
 * Small and quick to start: the compiler for short lives, one collector thread, and the class data of an earlier run,
 * which a run without them writes to `record` when it ends.
 */
export const javaArguments = ({ classPath, archive }: KafkaJars, record?: string): readonly string[] => [
  '-Xmx512m',
  '-XX:TieredStopAtLevel=1',
  '-XX:+UseSerialGC',
  record === undefined ? `-XX:SharedArchiveFile=${archive}` : `-XX:ArchiveClassesAtExit=${record}`,
  '-Dorg.slf4j.simpleLogger.defaultLogLevel=error',
  '-cp',
  classPath,
]

/** Runs a class to its end. Throws `bus.unavailable` with its last line. */
export async function runJava(args: readonly string[]): Promise<void> {
  try {
    await promisify(execFile)('java', args)
  } catch (cause) {
    const stderr = typeof cause === 'object' && cause !== null && 'stderr' in cause ? String(cause.stderr) : ''
    throw failed(stderr.trim().split('\n').at(-1) ?? 'java could not be run', cause)
  }
}

/** Starts a server and waits until it listens on `port`. Throws `bus.unavailable` with what it said last. */
export async function launchJava(args: readonly string[], port: number): Promise<JavaProcess> {
  const child = spawnJava(args)
  const words: string[] = []
  const listen = (chunk: Buffer): void => {
    words.push(...chunk.toString('utf8').trimEnd().split('\n'))
    words.splice(0, words.length - 20)
  }
  child.stdout?.on('data', listen)
  child.stderr?.on('data', listen)
  child.on('error', (error) => words.push(error.message))
  const end = (): void => void child.kill('SIGKILL')
  process.once('exit', end)
  child.once('close', () => process.off('exit', end))

  const deadline = performance.now() + START_LIMIT_MS
  while (!(await answers(port))) {
    const ended = child.pid === undefined || child.exitCode !== null || child.signalCode !== null
    if (ended || performance.now() > deadline) {
      child.kill('SIGKILL')
      throw failed(words.filter((line) => /error|exception/i.test(line)).at(-1) ?? words.at(-1) ?? 'no answer')
    }
    await sleep(20)
  }
  return { stop: (signal) => halt(child, signal), signal: (signal) => void child.kill(signal) }
}

function spawnJava(args: readonly string[]): ChildProcess {
  // SIGKILL of the parent runs no handler of ours: the kernel then ends the broker (prctl(2)).
  const setpriv = ['/usr/bin/setpriv', '/bin/setpriv'].find((path) => existsSync(path))
  const [program, argv] =
    process.platform === 'linux' && setpriv !== undefined
      ? [setpriv, ['--pdeathsig', 'TERM', '--', 'java', ...args]]
      : ['java', args]
  return spawn(program, argv, { stdio: ['ignore', 'pipe', 'pipe'], detached: true })
}

function answers(port: number): Promise<boolean> {
  return new Promise((resolve) => {
    const socket = connect(port, '127.0.0.1')
    const say = (answer: boolean) => (): void => {
      socket.destroy()
      resolve(answer)
    }
    socket.once('connect', say(true))
    socket.once('error', say(false))
  })
}

async function halt(child: ChildProcess, signal: 'SIGTERM' | 'SIGKILL'): Promise<void> {
  if (child.exitCode !== null || child.signalCode !== null) return
  const ended = once(child, 'exit')
  child.kill(signal)
  const limit = new AbortController()
  await Promise.race([ended, sleep(STOP_LIMIT_MS, undefined, { signal: limit.signal }).catch(() => undefined)])
  limit.abort()
  if (child.exitCode !== null || child.signalCode !== null) return
  child.kill('SIGKILL')
  await ended
}

const failed = (words: string, cause?: unknown): HubError =>
  new HubError('bus.unavailable', {
    detail: { zh: `本地 Kafka 未能启动：${words}`, en: `the local Kafka did not start: ${words}` },
    cause,
  })
