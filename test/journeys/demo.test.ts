import { execFile } from 'node:child_process'
import { mkdtempSync, readdirSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { promisify } from 'node:util'
import { expect, onTestFinished, test } from 'vitest'
import { PROJECT_ROOT } from '#compose.ts'
import { withDatabase } from '../support/database.ts'
import { needsKafkaJars } from '../support/kafka.ts'

const LIMIT_MS = 120_000

interface Played {
  readonly code: number
  readonly lines: readonly Record<string, unknown>[]
  readonly said: string
  /** What stood in its temporary folder when it had ended. */
  readonly left: readonly string[]
}

/** Plays the demo in a process that sees nothing of ours but `env`. */
async function play(args: readonly string[], env: NodeJS.ProcessEnv): Promise<Played> {
  const TMPDIR = mkdtempSync(join(tmpdir(), 'dq-'))
  onTestFinished(() => rmSync(TMPDIR, { recursive: true, force: true }))
  await promisify(execFile)('chmod', ['711', TMPDIR])
  const call = promisify(execFile)(process.execPath, [join(PROJECT_ROOT, 'src/main.ts'), 'demo', '--json', ...args], {
    env: { TMPDIR, ...env },
    timeout: LIMIT_MS,
  })
  const ended = await call.catch((error: unknown) => error as { code: number; stdout: string; stderr: string })
  const lines = ended.stdout.split('\n').filter((line) => line !== '')
  return {
    code: 'code' in ended ? ended.code : 0,
    lines: lines.map((line) => JSON.parse(line) as Record<string, unknown>),
    said: ended.stderr,
    left: readdirSync(TMPDIR).filter((name) => name.startsWith('dianqiao')),
  }
}

withDatabase('the play', () => {
  needsKafkaJars('on a Kafka and a PostgreSQL of its own', () => {
    test('--real goes as the play on the embedded ones does, and leaves nothing behind', {
      timeout: 2 * LIMIT_MS,
    }, async () => {
      const [embedded, real] = [await play([], process.env), await play(['--real'], process.env)]
      expect(real.lines.filter(({ ok }) => ok !== true)).toEqual([])
      expect([real.code, real.left]).toEqual([0, []])
      const steps = ({ lines }: Played): unknown[] => lines.map(({ act, sent, got }) => [act, sent, got])
      expect(steps(real)).toEqual(steps(embedded))
      expect(real.said).toMatch(/Kafka 127\.0\.0\.1:\d+/)
    })
  })

  test('--real on a machine without Java ends with 1 and says what is missing', { timeout: LIMIT_MS }, async () => {
    const { code, said, lines, left } = await play(['--real'], { PATH: '/nowhere' })
    expect([code, lines, left]).toEqual([1, [], []])
    expect(said).toContain('no java')
  })
})
