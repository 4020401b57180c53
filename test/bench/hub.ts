import { spawn } from 'node:child_process'
import { readFileSync } from 'node:fs'
import path from 'node:path'
import { createInterface } from 'node:readline'
import { setTimeout as sleep } from 'node:timers/promises'
import { ROOT } from './message.ts'

/** `dianqiao start` as a process of its own. */
export interface HubProcess {
  readonly pid: number
  readonly url: string
  /** From the start of the process to the answer that it is ready. */
  readonly startedInMs: number
  /** Clean shutdown; throws when the hub does not end with code 0. */
  stop(): Promise<void>
}

/** One sender loads the hub as a thousand would. No balancer needs time to see it go. */
const SETTINGS = {
  PARTY_PER_SECOND: '1000000',
  PARTY_BYTES_PER_SECOND: '1000000000',
  PARTY_IN_FLIGHT: '100000',
  DRAIN_MS: '0',
}

const READY_WITHIN_MS = 30_000

/** What `npm start` gives Node before the script. */
function startOptions(root: string): readonly string[] {
  const { scripts } = JSON.parse(readFileSync(path.join(root, 'package.json'), 'utf8')) as {
    readonly scripts: { readonly start: string }
  }
  return scripts.start.split(' ').filter((word) => word.startsWith('--'))
}

/**
 * Starts a hub as `npm start` does and waits until it is ready; without a gateway it must have an OPERATIONS_PORT.
 * `nodeOptions` are further ones, `root` is another checkout's.
 */
export async function startHub(
  env: NodeJS.ProcessEnv,
  nodeOptions: readonly string[] = [],
  root = ROOT,
): Promise<HubProcess> {
  const begun = performance.now()
  const script = path.join(root, 'src/main.ts')
  const child = spawn(process.execPath, [...startOptions(root), ...nodeOptions, script, 'start'], {
    env: { PATH: process.env['PATH'], ...SETTINGS, ...env },
    stdio: ['ignore', 'ignore', 'pipe'],
  })
  // A bench that fails leaves no hub behind.
  process.once('exit', () => child.kill('SIGKILL'))
  const words: string[] = []
  const ended = new Promise<number | null>((resolve) => child.once('exit', resolve))
  const failed = (what: string): Error => new Error(`the hub ${what}\n${words.join('\n')}`)
  const stop = async (): Promise<void> => {
    child.kill('SIGTERM')
    const code = await ended
    if (code !== 0) throw failed(`ended with ${code}`)
  }
  const url = await new Promise<string>((resolve, reject) => {
    createInterface({ input: child.stderr }).on('line', (line) => {
      words.push(line)
      if (words.length > 20) words.shift()
      const found = /(?:gateway|metrics)\s+(http:\/\/[^/\s]+)/.exec(line)?.[1]
      if (found !== undefined) resolve(found)
    })
    void ended.then((code) => reject(failed(`ended with ${code} before it listened`)))
  })
  let ready = await fetch(`${url}/health/ready`)
  while (!ready.ok && performance.now() - begun < READY_WITHIN_MS) {
    await sleep(20)
    ready = await fetch(`${url}/health/ready`)
  }
  if (!ready.ok) {
    await stop()
    throw new Error(`the hub is not ready: ${ready.status} ${await ready.text()}`)
  }
  return { pid: child.pid ?? 0, url, startedInMs: performance.now() - begun, stop }
}
