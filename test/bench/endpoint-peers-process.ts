import { type MarketingPeer, startMarketingPeer } from '#sandbox/marketing-peer.ts'
import { answerRequests } from './child.ts'

/** The systems behind the connectors of the `endpoints` bench, in a process of their own. */
const peers: MarketingPeer[] = []

answerRequests({
  async open({ count }: { count: number }): Promise<string[]> {
    while (peers.length < count) peers.push(await startMarketingPeer({ dialect: 'rest', dedupe: true }))
    return peers.map(({ url }) => url)
  },
  /** From now on every request is cut off, or answered with 500 where it is about one business number. */
  fail({ peer, reference }: { peer: number; reference?: string }): void {
    const fault =
      reference === undefined
        ? ({ kind: 'reset', times: FOR_EVER } as const)
        : ({ kind: 'status', status: 500, reference, times: FOR_EVER } as const)
    peers[peer]?.faults.next([fault])
  },
  heal({ peer }: { peer: number }): void {
    peers[peer]?.faults.clear()
  },
  /** How many effects each had, and how many of them it had twice. */
  effects(): readonly { readonly count: number; readonly doubled: number }[] {
    return peers.map((peer) => {
      const effects = peer.effects()
      return { count: effects.length, doubled: effects.length - new Set(effects.map((one) => one.effectKey)).size }
    })
  },
})

const FOR_EVER = 1_000_000
