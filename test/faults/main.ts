import { parseArgs } from 'node:util'
import { missingForKafka } from '#sandbox/kafka-jars.ts'
import { KAFKA_CACHE } from './fault-broker.ts'
import { type RunOptions, runSchedules, summaryLine } from './run.ts'

const USAGE = 'usage: npm run faults -- [--schedules N] [--seed S] [--from N] [--trace] [--json] [--keep]\n'

process.exit(await main())

/** 0 when every promise was kept, 1 when one was broken, 2 for a wrong call or a machine without Kafka. */
async function main(): Promise<number> {
  const call = readCall()
  if (call === undefined) {
    process.stderr.write(USAGE)
    return 2
  }
  const missing = await missingForKafka(KAFKA_CACHE)
  if (missing !== undefined) {
    process.stderr.write(`no Kafka on this machine: ${missing}\n`)
    return 2
  }
  const say = (line: string): void => void (call.json ? process.stderr : process.stdout).write(`${line}\n`)
  say(`seed ${call.seed}`)
  try {
    const report = await runSchedules({ ...call, say })
    say(summaryLine(report))
    if (call.json) process.stdout.write(`${JSON.stringify(report)}\n`)
    const broken = Object.values(report.violations).reduce((sum, count) => sum + count, report.troubles)
    return broken === 0 ? 0 : 1
  } catch (error) {
    process.stderr.write(`${error instanceof Error ? (error.stack ?? error.message) : String(error)}\n`)
    return 1
  }
}

function readCall(): (Omit<RunOptions, 'say'> & { readonly json: boolean }) | undefined {
  try {
    const { values } = parseArgs({
      options: {
        schedules: { type: 'string', default: '10' },
        seed: { type: 'string', default: String(Math.floor(Math.random() * 2 ** 31)) },
        from: { type: 'string', default: '1' },
        json: { type: 'boolean', default: false },
        keep: { type: 'boolean', default: false },
        trace: { type: 'boolean', default: false },
      },
    })
    const [schedules, seed, from] = [values.schedules, values.seed, values.from].map(Number)
    if (!isCount(schedules) || !isCount(from) || seed === undefined || !Number.isSafeInteger(seed)) return undefined
    return { schedules, seed, from, json: values.json, keep: values.keep, trace: values.trace }
  } catch {
    return undefined
  }
}

function isCount(value: number | undefined): value is number {
  return value !== undefined && Number.isSafeInteger(value) && value > 0
}
