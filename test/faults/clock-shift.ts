import { readFileSync } from 'node:fs'

/**
 * Loaded before everything else (`node --import`): shifts the wall clock of this process by the milliseconds that the
 * file of FAULT_CLOCK_FILE names. Timers and the monotonic clock stay, as they do when a real clock is set.
 */
const file = process.env['FAULT_CLOCK_FILE'] ?? ''
const REREAD_MS = 50

let offsetMs = 0
const reread = (): void => {
  try {
    offsetMs = Number(readFileSync(file, 'utf8'))
  } catch {
    offsetMs = 0
  }
}

const RealDate = Date
const now = (): number => RealDate.now() + offsetMs

if (file !== '') {
  reread()
  setInterval(reread, REREAD_MS).unref()
  globalThis.Date = new Proxy(RealDate, {
    construct: (target, args, newTarget) => Reflect.construct(target, args.length === 0 ? [now()] : args, newTarget),
    get: (target, name) => (name === 'now' ? now : Reflect.get(target, name)),
  })
}
