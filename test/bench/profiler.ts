import { renameSync, writeFileSync } from 'node:fs'
import { Session } from 'node:inspector/promises'

/**
 * Loaded with `--import` into a hub: the first SIGUSR2 begins a CPU profile, the second writes it to the file that
 * DIANQIAO_BENCH_PROFILE names. So the profile holds the load and not the start of the process.
 */
const SAMPLING_US = 500

const session = new Session()
let running = false

process.on('SIGUSR2', () => void turn())

async function turn(): Promise<void> {
  if (!running) {
    running = true
    session.connect()
    await session.post('Profiler.enable')
    await session.post('Profiler.setSamplingInterval', { interval: SAMPLING_US })
    await session.post('Profiler.start')
    return
  }
  const { profile } = await session.post('Profiler.stop')
  const file = process.env['DIANQIAO_BENCH_PROFILE'] ?? ''
  writeFileSync(`${file}.draft`, JSON.stringify(profile))
  renameSync(`${file}.draft`, file)
  session.disconnect()
}
