import { setTimeout as sleep } from 'node:timers/promises'
import { configFromProcess } from '#config.ts'
import { DIALECTS, type DialectName } from '#sandbox/dialects.ts'
import { startMarketingPeer } from '#sandbox/marketing-peer.ts'
import { LOOK_UP_PEERS } from './lookup-peers.ts'
import { say } from './output.ts'

/** `dianqiao sandbox`: the scripted systems of the utilities and those that are only asked, on PORT and the ports after it, until it is told to stop. */
export async function sandbox(): Promise<void> {
  const { host, port } = configFromProcess()
  const names = Object.keys(DIALECTS) as DialectName[]
  const peers = await Promise.all(
    names.map((dialect, n) => startMarketingPeer({ dialect, host, port: port === 0 ? 0 : port + n, dedupe: true })),
  )
  for (const [n, { url }] of peers.entries()) say(`${names[n]}  ${url}`)
  const asked = await Promise.all(
    Object.entries(LOOK_UP_PEERS).map(async ([name, start], n) => {
      const peer = await start({ host, port: port === 0 ? 0 : port + names.length + n })
      say(`${name}  ${peer.url}`)
      return peer
    }),
  )
  const end = new AbortController()
  process.once('SIGTERM', () => end.abort())
  process.once('SIGINT', () => end.abort())
  while (!end.signal.aborted) await sleep(2 ** 30, undefined, { signal: end.signal }).catch(() => {})
  for (const peer of [...peers, ...asked]) await peer.stop()
}
