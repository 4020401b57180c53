import { readdirSync, readFileSync } from 'node:fs'
import path from 'node:path'
import { expect, it, onTestFinished } from 'vitest'
import { PROJECT_ROOT } from '#compose.ts'
import { startMarketingPeer } from '#sandbox/marketing-peer.ts'

interface Fixture {
  readonly expect: {
    readonly method: string
    readonly path: string
    readonly headers: Record<string, string>
    readonly body?: object
    readonly xml?: string
  }
}

it.each([
  ['inner-mongolia-power-marketing', 'inner-mongolia-power'],
  ['state-grid-east-marketing', 'state-grid-east'],
] as const)('whatever the fixtures of %s send has its effect at the sandbox system', async (folder, dialect) => {
  const peer = await startMarketingPeer({ dialect, dedupe: false })
  onTestFinished(() => peer.stop())
  const fixtures = path.join(PROJECT_ROOT, 'connectors', folder, 'fixtures')
  let sent = 0
  for (const file of readdirSync(fixtures).filter((name) => name.endsWith('.json'))) {
    const fixture = JSON.parse(readFileSync(path.join(fixtures, file), 'utf8')) as Fixture
    const { method, path: url, headers, body, xml } = fixture.expect
    const text = xml === undefined ? JSON.stringify(body) : readFileSync(path.join(fixtures, xml), 'utf8')
    const { status } = await fetch(`${peer.url}${url}`, { method, headers, body: text })
    expect([file, status, peer.effects().length]).toEqual([file, 200, ++sent])
  }
  expect(sent).toBeGreaterThan(10)
})
