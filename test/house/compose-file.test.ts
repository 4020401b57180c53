import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { describe, expect, test } from 'vitest'
import { PROJECT_ROOT } from '#compose.ts'
import { CONNECTORS } from '#compose-lookups.ts'
import { ROLES, readConfig, VARIABLES } from '#config.ts'
import { connectorFolders } from '#connect/folders.ts'
import { loadManifest } from '#connect/manifest.ts'
import { ownServices, readComposeFile, rolesOf } from '../support/compose-file.ts'

const file = readComposeFile()
const own = ownServices(file)
const roles = own.flatMap(([name, service]) => rolesOf(service)?.map((role) => ({ name, service, role })) ?? [])

test('every role runs, the ones that scale twice', () => {
  expect(new Set(roles.map(({ role }) => role))).toEqual(new Set(ROLES))
  const replicas = Object.fromEntries(roles.map(({ role, service }) => [role, service.deploy?.replicas ?? 1]))
  expect(replicas).toMatchObject({ gateway: 2, connect: 2, relay: 2 })
})

test('the image runs Node as `npm start` does', () => {
  const { scripts } = JSON.parse(readFileSync(join(PROJECT_ROOT, 'package.json'), 'utf8')) as {
    readonly scripts: { readonly start: string }
  }
  for (const [, { build }] of own) {
    const entry = /^ENTRYPOINT (.*)$/m.exec(build?.dockerfile_inline ?? '')?.[1] ?? ''
    expect([...JSON.parse(entry), 'start']).toEqual(scripts.start.split(' '))
  }
})

describe.each(own)('%s', (name, service) => {
  const environment = Object.fromEntries(Object.entries(service.environment ?? {}).map(([k, v]) => [k, String(v)]))

  test('sets only variables that the program reads', () => {
    const unknown = Object.keys(environment).filter((one) => !VARIABLES.includes(one) && !one.startsWith('ENDPOINT_'))
    expect(unknown).toEqual([])
  })

  test('has no secret in its environment: every one is a file', () => {
    for (const [variable, value] of Object.entries(environment)) {
      expect(`${variable}=${value}`).not.toMatch(/:\/\/[^/@]*:[^/@]+@|_(PASSWORD|TOKEN|SECRET)=/)
    }
    for (const [variable, value] of Object.entries(environment)) {
      if (variable.endsWith('_FILE') && value.startsWith('/run/secrets/')) {
        expect(service.secrets).toContain(value.slice('/run/secrets/'.length))
      }
    }
  })

  test('is looked at, restarted, and given time to stop, unless it runs once', () => {
    const stays = rolesOf(service) !== undefined || name === 'peers'
    expect(service.restart).toBe(stays ? 'unless-stopped' : 'no')
    if (!stays) return
    expect(service.healthcheck?.test).toEqual(expect.arrayContaining([expect.stringContaining('fetch(')]))
    if (rolesOf(service) === undefined) return
    const { DATABASE_PASSWORD_FILE: _file, ...readable } = environment
    const config = readConfig(readable, false)
    expect(service.healthcheck?.test?.at(-1)).toContain(`:${config.operationsPort}/health/ready`)
    expect(Number.parseInt(service.stop_grace_period ?? '', 10) * 1_000).toBeGreaterThan(
      config.drainMs + config.stopWithinMs,
    )
  })
})

test('connectors have an endpoint and are nobody’s sandbox', async () => {
  const connect = roles.find(({ role }) => role === 'connect')
  const environment = connect?.service.environment ?? {}
  for (const folder of (await connectorFolders(CONNECTORS)).sinks) {
    const { endpoint } = await loadManifest(folder)
    expect(Object.keys(environment)).toContain(`ENDPOINT_${endpoint.name.toUpperCase().replaceAll('-', '_')}`)
  }
  expect(environment['SANDBOX']).toBeUndefined()
})

test('everything that is waited for exists, and what is waited for as healthy is looked at', () => {
  for (const { depends_on = {} } of Object.values(file.services)) {
    for (const [needed, { condition }] of Object.entries(depends_on)) {
      const service = file.services[needed]
      expect(service, needed).toBeDefined()
      if (condition === 'service_healthy') expect(service?.healthcheck?.test, needed).toBeDefined()
    }
  }
  for (const [name, { secrets = [] }] of Object.entries(file.services)) {
    for (const secret of secrets) expect(file.secrets[secret]?.file, `${name}: ${secret}`).toBeDefined()
  }
})
