import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { PROJECT_ROOT } from '#compose.ts'
import { readPartySigner } from '#parties/key-files.ts'
import { openPartyClient } from '#sandbox/party-client.ts'
import { takePort } from '#sandbox/ports.ts'
import { CHIFENG, caseMessages } from '../faults/messages.ts'
import { type Balancer, startBalancer } from '../support/balancer.ts'
import { type ComposeService, ownServices, readComposeFile, rolesOf } from '../support/compose-file.ts'
import { withDatabase } from '../support/database.ts'
import { withLocalKafka } from '../support/kafka.ts'

interface Started {
  readonly service: string
  readonly child: ChildProcess
  readonly log: string[]
  readonly operationsUrl: string
  readonly gatewayUrl: string
}

/** The services of docker-compose.yml as plain processes: the same commands and variables, with addresses of here. */
withDatabase('what docker-compose.yml runs', (databaseUrl) => {
  withLocalKafka('on a broker of its own', {}, (kafka) => {
    const file = readComposeFile()
    const dir = mkdtempSync(join(tmpdir(), 'dianqiao-compose-'))
    const started: Started[] = []
    const releases: (() => Promise<void>)[] = []
    let balancer: Balancer | undefined
    let addresses: readonly (readonly [string | RegExp, string])[] = []

    const here = (text: string): string =>
      addresses.reduce((value, [there, address]) => value.replaceAll(there, address), text)
    const port = async (): Promise<number> => {
      const taken = await takePort()
      releases.push(taken.release)
      return taken.port
    }
    async function run(name: string, service: ComposeService): Promise<Started> {
      const environment = Object.entries(service.environment ?? {}).map(([key, value]) => [key, here(String(value))])
      const [operations, own] = [await port(), name === 'peers' ? peersPort : await port()]
      const log: string[] = []
      const child = spawn(process.execPath, [join(PROJECT_ROOT, 'src/main.ts'), ...(service.command ?? [])], {
        env: {
          PATH: process.env['PATH'],
          ...Object.fromEntries(environment),
          ...('OPERATIONS_PORT' in (service.environment ?? {}) ? { OPERATIONS_PORT: String(operations) } : {}),
          ...('PORT' in (service.environment ?? {}) ? { PORT: String(own) } : {}),
        },
        stdio: ['ignore', 'ignore', 'pipe'],
      })
      child.stderr.on('data', (chunk: Buffer) => void log.push(chunk.toString('utf8')))
      return {
        service: name,
        child,
        log,
        operationsUrl: `http://127.0.0.1:${operations}`,
        gatewayUrl: `http://127.0.0.1:${own}`,
      }
    }
    async function runOnce(name: string): Promise<void> {
      const service = file.services[name]
      if (service === undefined) throw new Error(`docker-compose.yml has no ${name}`)
      const { child, log } = await run(name, service)
      await once(child, 'exit')
      expect([name, child.exitCode, log.join('')]).toEqual([name, 0, expect.any(String)])
    }
    const isReady = (url: string): Promise<boolean> =>
      fetch(`${url}/health/ready`).then(
        ({ ok }) => ok,
        () => false,
      )
    let peersPort = 0

    beforeAll(async () => {
      const peers = await takePort()
      // The second peer takes the port above, which guards the first.
      await peers.release()
      peersPort = peers.port
      writeFileSync(join(dir, 'database_password'), 'not asked for on a socket\n')
      addresses = [
        ['postgresql://dianqiao@postgres:5432/dianqiao', databaseUrl],
        ['kafka:9092', kafka().brokers.join(',')],
        ['peers:8090', `127.0.0.1:${peersPort}`],
        ['peers:8091', `127.0.0.1:${peersPort + 1}`],
        ['/run/secrets', dir],
        ['/keys', join(dir, 'keys')],
        ['0.0.0.0', '127.0.0.1'],
      ]
      for (const name of ['migrate', 'seed', 'topics']) await runOnce(name)
      for (const [name, service] of ownServices(file)) {
        if (name !== 'peers' && rolesOf(service) === undefined) continue
        for (let n = 0; n < (service.deploy?.replicas ?? 1); n++) started.push(await run(name, service))
      }
    }, 120_000)
    afterAll(async () => {
      for (const { child } of started) child.kill('SIGKILL')
      await balancer?.close()
      for (const release of releases) await release()
      rmSync(dir, { recursive: true, force: true })
    })

    test('becomes ready, carries an application and its result through to the peer, and stops cleanly', {
      timeout: 180_000,
    }, async () => {
      const roles = started.filter(({ service }) => service !== 'peers')
      expect(roles.map(({ service }) => service).toSorted()).toEqual([
        'cases',
        'connect',
        'connect',
        'gateway',
        'gateway',
        'relay',
        'relay',
      ])
      for (const { service, operationsUrl, log } of roles) {
        await expect
          .poll(() => isReady(operationsUrl), { timeout: 60_000, message: `${service}\n${log.join('')}` })
          .toBe(true)
      }
      const gateways = started.filter(({ service }) => service === 'gateway').map(({ gatewayUrl }) => gatewayUrl)
      balancer = await startBalancer(gateways)
      const signer = readPartySigner(join(dir, 'keys', 'parties'), CHIFENG.sender)
      if (signer === undefined) throw new Error('no seeded key')
      await expect.poll(() => isReady(balancer?.url ?? ''), { timeout: 10_000 }).toBe(true)
      const client = await openPartyClient(balancer.url, 'dianqiao', CHIFENG.sender, signer)
      const { application, result } = caseMessages(CHIFENG, 'compose')
      for (const message of [application, result(1)]) {
        const answer = await client.push(message.input)
        expect([answer.status, answer.verified]).toEqual([202, true])
      }
      // State Grid East's, which serves Chifeng, is the first.
      const effects = (): Promise<unknown[]> =>
        fetch(`http://127.0.0.1:${peersPort}/__effects`).then((response) => response.json() as Promise<unknown[]>)
      await expect.poll(async () => (await effects()).length, { timeout: 60_000 }).toBe(2)

      for (const { child } of started) child.kill('SIGTERM')
      for (const { service, child, log } of started) {
        if (child.exitCode === null) await once(child, 'exit')
        expect([service, child.exitCode, child.exitCode === 0 ? '' : log.join('')]).toEqual([service, 0, ''])
      }
    })
  })
})
