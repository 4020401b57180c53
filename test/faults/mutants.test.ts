import { cpSync, mkdtempSync, readFileSync, rmSync, symlinkSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { expect, type TestContext, test } from 'vitest'
import { PROJECT_ROOT } from '#compose.ts'
import { withDatabase } from '../support/database.ts'
import { NONE, type Violations } from './check.ts'
import { CHIFENG, caseMessages, HOHHOT } from './messages.ts'
import { openPlatforms, openWorld, type World } from './world.ts'

/** One guard taken out of one file: each text stands there exactly once. */
interface Mutant {
  readonly file: string
  readonly edits: readonly (readonly [text: string, instead: string])[]
}

const RECEIPT_BEFORE_COMMIT: Mutant = {
  file: 'src/exchange/committer.ts',
  edits: [
    [
      '    const outcomes = await commitWithRetry(options.commit, batch)\n    settle(queue, batch, outcomes)\n',
      "    settle(queue, batch, batch.map(() => ({ kind: 'committed', pos: 0 })))\n" +
        '    await sleep(100)\n    const outcomes = await commitWithRetry(options.commit, batch)\n',
    ],
  ],
}
const MARK_BEFORE_PUBLISH: Mutant = {
  file: 'src/delivery/relay.ts',
  edits: [
    [
      "    fault('relay.before-publish')\n",
      "    const count = await markPublished(deps.db, lease, generation, ids)\n    fault('relay.before-publish')\n",
    ],
    ['    const count = goingIds.length === 0 ? 0 : await markPublished(deps.db, lease, generation, goingIds)\n', ''],
  ],
}
const NO_ORDER_KEY: Mutant = {
  file: 'src/delivery/inbox.ts',
  edits: [["orderKey: headers['dx-order-key'] ?? message.key,", 'orderKey: eventId,']],
}
const NEW_EFFECT_KEY: Mutant = {
  file: 'src/connect/request.ts',
  edits: [['[effectKeyHeader]: delivery.id', '[effectKeyHeader]: crypto.randomUUID()']],
}

const QUIET_WITHIN_MS = 3_000
/** So many at a time that no single accident of time decides. */
const CASES = 6

withDatabase('the checker', () => {
  test('finds lost exchanges in a build that answers before it has committed', { timeout: 60_000 }, async (context) => {
    const violations = await judged(context, RECEIPT_BEFORE_COMMIT, acrossKill('accept.before-commit:1'))
    expect(violations.lost).not.toEqual([])
  })

  test('finds stuck deliveries in a build that marks before it has published', {
    timeout: 60_000,
  }, async (context) => {
    const violations = await judged(context, MARK_BEFORE_PUBLISH, acrossKill('relay.before-publish:1'))
    expect(violations).toEqual({ ...NONE, stuck: expect.arrayContaining([expect.any(String)]) })
  })

  test('finds reordered effects in a build whose inbox knows no order key', { timeout: 60_000 }, async (context) => {
    const violations = await judged(context, NO_ORDER_KEY, firstResultsFail('status'))
    expect(violations).toEqual({ ...NONE, reordered: expect.arrayContaining([expect.any(String)]) })
  })

  test('finds doubled effects in a build that gives each attempt another effect key', {
    timeout: 60_000,
  }, async (context) => {
    const violations = await judged(context, NEW_EFFECT_KEY, firstResultsFail('reset-after'))
    expect(violations.doubled).not.toEqual([])
  })

  test('finds nothing in the same plays of the build as it is', { timeout: 120_000 }, async (context) => {
    for (const play of [
      acrossKill('accept.before-commit:1'),
      acrossKill('relay.before-publish:1'),
      firstResultsFail('status'),
      firstResultsFail('reset-after'),
    ]) {
      expect(await judged(context, undefined, play)).toEqual(NONE)
    }
  })
})

type Play = (world: World) => Promise<void>

/** What an outsider sees of a build with this guard taken out. */
async function judged(context: TestContext, mutant: Mutant | undefined, play: Play): Promise<Violations> {
  const root = mutant === undefined ? PROJECT_ROOT : buildWithout(context, mutant)
  const world = await openWorld(context, 'cloned', { root, quietWithinMs: QUIET_WITHIN_MS })
  await play(world)
  return world.judge()
}

/** The sweeper, which would publish again what nobody acknowledged, sleeps: it is a guard of its own. */
const SLEEPY = { RELAY_REPUBLISH_AFTER_MS: '600000' }

const acrossKill =
  (point: string): Play =>
  async (world) => {
    await world.hub.start({ ...SLEEPY, FAULT_POINT: point })
    await openPlatforms(world)
    const { application, result } = caseMessages(CHIFENG, 'mutant')
    const pushed = world.pushUntilAnswered(application)
    await world.hub.ended()
    await world.hub.start(SLEEPY)
    await pushed
    await world.pushUntilAnswered(result(1))
  }

/** The first attempt at the first result of each case fails, before its effect or after it; the second follows at once. */
const firstResultsFail =
  (kind: 'status' | 'reset-after'): Play =>
  async (world) => {
    await world.hub.start({ ...SLEEPY, CONNECTOR_SCHEDULE_MS: '1000,1000,1000,1000' })
    await openPlatforms(world)
    const peer = world.peers.get(HOHHOT.utility)
    const cases = Array.from({ length: CASES }, (_, n) => caseMessages(HOHHOT, `mutant-${n}`))
    for (const { application } of cases) await world.pushUntilAnswered(application)
    for (const { result } of cases) {
      const first = result(1)
      const reference = first.input.sub
      peer?.faults.next([kind === 'status' ? { kind, status: 500, reference } : { kind, reference }])
      await world.pushUntilAnswered(first)
      await world.pushUntilAnswered(result(2))
    }
  }

/** A copy of the sources with the edits; everything else is what stands here. */
function buildWithout({ onTestFinished }: TestContext, { file, edits }: Mutant): string {
  const root = mkdtempSync(join(tmpdir(), 'dianqiao-mutant-'))
  onTestFinished(() => rmSync(root, { recursive: true, force: true }))
  cpSync(join(PROJECT_ROOT, 'src'), join(root, 'src'), { recursive: true })
  cpSync(join(PROJECT_ROOT, 'connectors'), join(root, 'connectors'), { recursive: true })
  for (const name of ['package.json', 'node_modules', 'contracts', 'schemas', 'seeds']) {
    symlinkSync(join(PROJECT_ROOT, name), join(root, name))
  }
  let text = readFileSync(join(root, file), 'utf8')
  for (const [there, instead] of edits) {
    expect(text.split(there)).toHaveLength(2)
    text = text.replace(there, instead)
  }
  writeFileSync(join(root, file), text)
  return root
}
