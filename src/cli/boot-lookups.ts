import type { Core } from '#compose.ts'
import { type LookUpEndpoint, openLookUps, type RunningLookUps } from '#compose-lookups.ts'
import { endpointVariable, readSecret } from '#config.ts'
import type { LookUpPeer } from '#sandbox/lookup-peer.ts'
import { LOOK_UP_PEERS } from './lookup-peers.ts'

/**
 * Look-ups with their configured endpoints, or with sandbox peers, which go into `peers` by the name of their endpoint. A
 * system without either is never asked.
 */
export async function startLookUps(core: Core, peers: Map<string, LookUpPeer>): Promise<RunningLookUps> {
  const { endpoints, endpointSecretFiles, sandbox } = core.config
  return openLookUps(core, async (name): Promise<LookUpEndpoint | undefined> => {
    const url = endpoints[name]
    const file = endpointSecretFiles[name]
    if (url !== undefined) {
      const variable = `${endpointVariable(name)}_SECRET_FILE`
      return { url, ...(file === undefined ? {} : { secret: readSecret(variable, file) }) }
    }
    const start = sandbox ? LOOK_UP_PEERS[name] : undefined
    if (start === undefined) return undefined
    const peer = await start()
    peers.set(name, peer)
    return { url: peer.url, secret: 'sandbox' }
  })
}
