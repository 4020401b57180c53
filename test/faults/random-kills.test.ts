import { setTimeout as sleep } from 'node:timers/promises'
import { expect, test } from 'vitest'
import type { FaultInput } from '#sandbox/fault-script.ts'
import { withDatabase } from '../support/database.ts'
import { NONE } from './check.ts'
import { CHIFENG, caseMessages, HOHHOT, type Message } from './messages.ts'
import { type Random, seededRandom } from './random.ts'
import { openPlatforms, openWorld, type World } from './world.ts'

const KILLS = 20
const CLIENTS = 16
/** Fixed, and known to pass, so that the same tree is judged alike each time; `npm run faults` is what looks further. */
const SEED = Number(process.env['FAULT_SEED'] ?? 20261126)

/** Half of the deaths come at a moment, the others at a place: between two steps that a moment would seldom hit. */
const PLACES = [
  'accept.before-commit',
  'accept.after-commit',
  'relay.after-publish',
  'host.after-land',
  'host.after-effect',
  'host.before-final',
  'host.after-ack-sent',
  'cases.after-commit',
] as const

withDatabase('a hub under load', () => {
  test(`${KILLS} random kills lose nothing, double nothing and keep every order (FAULT_SEED=${SEED})`, {
    timeout: 240_000,
  }, async (context) => {
    const world = await openWorld(context)
    const random = seededRandom(SEED)
    const run = { over: false }
    await world.hub.start()
    await openPlatforms(world)
    const clients = Array.from({ length: CLIENTS }, (_, n) => beClient(world, seededRandom(SEED + n + 1), n, run))
    const troubles = troublePeers(world, seededRandom(SEED - 1), run)
    const startMs: number[] = []
    for (let kills = 0; kills < KILLS; kills++) startMs.push(...(await liveAndDie(world, random)))
    await world.hub.start()
    run.over = true
    await Promise.all([...clients, troubles])
    const violations = await world.judge()
    const answered = new Set(world.pushes.flatMap(({ message, answer }) => (answer === undefined ? [] : [message])))
    startMs.sort((a, b) => a - b)
    console.log(
      `FAULT_SEED=${SEED}: ${KILLS} kills, ${answered.size} messages, ${world.pushes.length} pushes, ` +
        `hub ready in ${Math.round(startMs[startMs.length >> 1] ?? 0)} ms (median)`,
    )
    expect(violations, `FAULT_SEED=${SEED}\n${world.hub.log()}`).toEqual(NONE)
    expect(answered.size).toBeGreaterThan(CLIENTS * 3)
  })
})

/** One life of the hub, ended by SIGKILL. Returns how long it took to be ready, when it got so far. */
async function liveAndDie(world: World, random: Random): Promise<number[]> {
  await world.hub.kill9()
  const point = random() < 0.5 ? { FAULT_POINT: `${random.pick(PLACES)}:${random.between(1, 6)}` } : {}
  const ready = await world.hub.start(point)
  await Promise.race([sleep(random.between(20, 600)), world.hub.ended()])
  await world.hub.kill9()
  expect((await world.hub.ended()).signal).toBe('SIGKILL')
  return ready === undefined ? [] : [ready]
}

/** Opens cases and pushes their results one after the other, until the last kill is over; sometimes twice at once. */
async function beClient(world: World, random: Random, lane: number, run: { readonly over: boolean }): Promise<void> {
  const place = lane % 2 === 0 ? CHIFENG : HOHHOT
  for (let n = 0; !run.over; n++) {
    for (const message of nextCase(random, () => caseMessages(place, `lane${lane}-${n}`))) {
      await sleep(random.between(20, 120))
      const again = random() < 0.15 ? world.push(message) : undefined
      await Promise.all([world.pushUntilAnswered(message), again])
    }
  }
}

/** The application somewhere among its results: what comes before it waits for it. */
function nextCase(random: Random, open: () => ReturnType<typeof caseMessages>): Message[] {
  const { application, result } = open()
  const results = Array.from({ length: random.between(1, 6) }, (_, n) => result(n + 1))
  const at = random() < 0.5 ? 0 : random.between(0, results.length + 1)
  return results.toSpliced(at, 0, application)
}

/** Twelve failures in a row open the breaker, which the kills then find open. */
const TROUBLES: readonly FaultInput[] = [
  { kind: 'status', status: 500 },
  { kind: 'status', status: 500, times: 12 },
  { kind: 'status', status: 503, retryAfterSeconds: 0 },
  { kind: 'timeout-after' },
  { kind: 'reset-after' },
  { kind: 'reset' },
  { kind: 'slow-after', ms: 200 },
]

async function troublePeers(world: World, random: Random, run: { readonly over: boolean }): Promise<void> {
  const peers = [...world.peers.values()]
  while (!run.over) {
    await sleep(random.between(100, 400))
    random.pick(peers).faults.next([random.pick(TROUBLES)])
  }
  for (const peer of peers) peer.faults.clear()
}
