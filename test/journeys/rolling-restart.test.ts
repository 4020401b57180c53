import { setTimeout as sleep } from 'node:timers/promises'
import { expect, test } from 'vitest'
import { NONE } from '../faults/check.ts'
import { GATEWAYS, openCluster, PROCESSES } from '../faults/cluster.ts'
import { CHIFENG, caseMessages, HOHHOT } from '../faults/messages.ts'
import { openOutside } from '../faults/outside.ts'
import type { RoleProcess } from '../faults/role.ts'
import { startBalancer } from '../support/balancer.ts'
import { needsKafkaJars } from '../support/kafka.ts'

/** Many looks of the balancer, on a machine that is busy with other tests too. */
const DRAIN_MS = 2_000
const CLIENTS = 4
/** A start takes a second; a machine with a dozen other things to do may need long for it. */
const READY_WITHIN_MS = 90_000

/** What a process says of itself, with its name. */
const readiness = ({ name, port, ...role }: RoleProcess): Promise<unknown[]> =>
  fetch(`http://127.0.0.1:${port}/health/ready`)
    .then((response) => response.json() as Promise<{ status: string; causes: string[] }>)
    .then(
      ({ status, causes }) => [name, status, causes],
      (error: unknown) => [name, String(error), role.isAlive() ? 'runs' : role.log().slice(-8)],
    )

needsKafkaJars('a rolling restart', () => {
  test('of every process in turn, under load, fails no request behind a balancer and loses, doubles or reorders nothing', {
    timeout: 400_000,
  }, async () => {
    const cluster = await openCluster({ env: { DRAIN_MS: String(DRAIN_MS) } })
    const balanced = GATEWAYS.map(cluster.directUrl)
    const balancer = await startBalancer(balanced)
    try {
      const outside = openOutside({
        keysDir: cluster.keysDir,
        peers: cluster.peers,
        historyDir: cluster.dir,
        // Request tokens are bound to the gateway's own URL.
        statusUrl: () => cluster.directUrl('gateway-1'),
      })
      await expect.poll(() => balanced.every(balancer.takes)).toBe(true)
      const failedBefore = balancer.failures.length
      let restarting = true
      const client = async (n: number): Promise<number> => {
        let pushed = 0
        for (; restarting; pushed += 2) {
          const { application, result } = caseMessages(n % 2 === 0 ? CHIFENG : HOHHOT, `rolling-${n}-${pushed}`)
          for (const message of [application, result(1)]) {
            const answer = await outside.push(message, balancer.url).catch(String)
            expect([answer, balancer.failures.slice(failedBefore)]).toEqual([expect.any(Object), []])
          }
          await sleep(20)
        }
        return pushed
      }
      const clients = Promise.all(Array.from({ length: CLIENTS }, (_, n) => client(n)))
      // Awaited at the end; what fails before that says so itself.
      clients.catch(() => undefined)
      for (const name of PROCESSES) {
        const role = cluster.role(name)
        role.signal('SIGTERM')
        await expect.poll(role.isAlive, { timeout: 30_000 }).toBe(false)
        expect(role.ownEnds()).toEqual([`${name} ended by itself: 0`])
        role.start()
        await expect.poll(() => readiness(role), { timeout: READY_WITHIN_MS }).toEqual([name, 'ready', []])
        // Ready is what the process says; the next gateway may go only when the balancer has heard it.
        if (GATEWAYS.includes(name)) {
          await expect.poll(() => balancer.takes(cluster.directUrl(name)), { timeout: 10_000 }).toBe(true)
        }
      }
      restarting = false
      const pushed = (await clients).reduce((sum, count) => sum + count, 0)
      expect(pushed).toBeGreaterThan(100)
      expect(balancer.failures.slice(failedBefore)).toEqual([])
      expect(await outside.judge()).toEqual(NONE)
    } finally {
      await balancer.close()
      await cluster.close(false)
    }
  })
})
