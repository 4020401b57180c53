import { setTimeout as sleep } from 'node:timers/promises'
import pc from 'picocolors'
import { pad } from './table.ts'

/** One line of the play: who sent what to whom, what was to come of it, what came. */
interface Step {
  readonly from: string
  readonly to: string
  readonly sent: string
  readonly expected: string
  readonly got: string
  /** Undefined where nothing signed came back. */
  readonly verified?: boolean | undefined
}

export interface Stage {
  act(title: { readonly zh: string; readonly en: string }): void
  play(step: Step): void
  /** Ends the play; true when every step went as it should. */
  finish(seconds: number): boolean
}

const COLUMNS = { no: 2, from: 21, to: 20, sent: 19, got: 28, sig: 3 } as const

/** Prints a table of at most 100 columns, or one JSON line a step. */
export function openStage(json: boolean, print: (line: string) => void): Stage {
  let number = 0
  let wrong = 0
  let act = ''
  if (!json) print(pc.dim(header()))
  return {
    act(title) {
      act = title.en
      if (!json) print(`\n${pc.bold(`${title.zh} · ${title.en}`)}`)
    },
    play(step) {
      number++
      const ok = step.got === step.expected && step.verified !== false
      if (!ok) wrong++
      print(json ? JSON.stringify({ n: number, act, ...step, ok }) : line(number, step, ok))
      if (!ok && !json)
        print(pc.red(`   expected: ${step.expected}${step.verified === false ? ' and a valid signature' : ''}`))
    },
    finish(seconds) {
      const good = number - wrong
      if (json) print(JSON.stringify({ end: number, ok: wrong === 0, good, wrong, seconds }))
      else
        print(
          `\n${wrong === 0 ? pc.green('✓') : pc.red('✗')} ${good} of ${number} steps as expected, ${seconds.toFixed(1)} s`,
        )
      return wrong === 0
    },
  }
}

const header = (): string => `${row('', 'from 发送方', 'to 接收方', 'sent 内容', 'got 结果', 'sig')}`

/** `sig`: whether the signed part of the answer verified with public keys alone; – where nothing signed came back. */
function line(number: number, step: Step, ok: boolean): string {
  const sig = step.verified === undefined ? '–' : step.verified ? '✓' : '✗'
  return `${row(String(number), step.from, step.to, step.sent, step.got, sig)} ${ok ? pc.green('✓') : pc.red('✗')}`
}

function row(no: string, from: string, to: string, sent: string, got: string, sig: string): string {
  return [
    pad(no, COLUMNS.no),
    pad(from, COLUMNS.from),
    pad(to, COLUMNS.to),
    pad(sent, COLUMNS.sent),
    pad(got, COLUMNS.got),
    pad(sig, COLUMNS.sig),
  ].join(' ')
}

/** Asks until the answer is the expected one or the time is up; the last answer is what counts. */
export async function eventually<T>(
  ask: () => Promise<T>,
  isDone: (answer: T) => boolean,
  withinMs = 8_000,
): Promise<T> {
  const until = Date.now() + withinMs
  for (;;) {
    const answer = await ask()
    if (isDone(answer) || Date.now() > until) return answer
    await sleep(20)
  }
}
