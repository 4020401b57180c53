import { cpSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { LOOK_UP_PEERS } from '#cli/lookup-peers.ts'
import type { Core } from '#compose.ts'
import { CONNECTORS, openLookUps, type RunningLookUps } from '#compose-lookups.ts'
import type { Looking } from '#documents/live.ts'
import type { LookUpPeer } from '#sandbox/lookup-peer.ts'

/** Both look-ups as they stand in connectors/, but impatient: within `BUDGET_MS`, and a circuit that opens after three. */
export const BUDGET_MS = 1_200
export const OPEN_MS = 1_500

export interface TestLookUps {
  readonly library: LookUpPeer
  readonly identity: LookUpPeer
  readonly open: (core: Core) => Promise<Looking>
  readonly stop: () => Promise<void>
}

export async function startTestLookUps(): Promise<TestLookUps> {
  const [library, identity] = await Promise.all([start('licence-library'), start('identity-service')])
  const peers: Readonly<Record<string, LookUpPeer>> = { 'licence-library': library, 'identity-service': identity }
  const root = mkdtempSync(join(tmpdir(), 'dianqiao-lookups-'))
  for (const name of Object.keys(peers)) {
    cpSync(join(CONNECTORS, name), join(root, name), { recursive: true })
    const file = join(root, name, 'connector.yaml')
    const text = readFileSync(file, 'utf8')
      .replace(/timeoutMs: \d+/, `timeoutMs: ${BUDGET_MS}`)
      .replace(/budgetMs: \d+/, `budgetMs: ${BUDGET_MS}`)
      .replace(/circuit: .*/, `circuit: {failures: 3, openMs: ${OPEN_MS}, maxOpenMs: ${OPEN_MS}}`)
    writeFileSync(file, text)
  }
  const running: RunningLookUps[] = []
  return {
    library,
    identity,
    async open(core) {
      const lookUps = await openLookUps(core, async (name) => ({ url: peers[name]?.url ?? '', secret: 'key' }), root)
      running.push(lookUps)
      return lookUps.looking
    },
    async stop() {
      for (const one of running) one.stop()
      await Promise.all([library.stop(), identity.stop()])
      rmSync(root, { recursive: true, force: true })
    },
  }
}

function start(name: string): Promise<LookUpPeer> {
  const peer = LOOK_UP_PEERS[name]
  if (peer === undefined) throw new Error(`no peer ${name}`)
  return peer()
}
