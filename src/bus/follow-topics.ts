import { startLoop } from '#kernel/loop.ts'
import type { Bus, SubscribeOptions, Subscription } from './bus.ts'

export interface FollowOptions extends Omit<SubscribeOptions, 'topics' | 'onError'> {
  /** What is to be read now. */
  readonly topics: () => Promise<readonly string[]>
  readonly everyMs: number
  readonly onError: (error: unknown) => void
}

/**
 * Subscribes, asks from time to time whether the topics are still the same, and subscribes anew when they are not.
 * Rejects like `subscribe` when the first subscription fails; a later failure is tried again.
 */
export async function followTopics(bus: Bus, options: FollowOptions): Promise<Pick<Subscription, 'close'>> {
  const { topics: wanted, everyMs, ...rest } = options
  let topics = await wanted()
  let subscription: Subscription | undefined = await bus.subscribe({ ...rest, topics })

  const follow = async (): Promise<number> => {
    const now = await wanted()
    if (subscription !== undefined && now.join() === topics.join()) return 0
    await subscription?.close()
    subscription = undefined
    subscription = await bus.subscribe({ ...rest, topics: now })
    topics = now
    return 0
  }
  const loop = startLoop(follow, { pollMs: everyMs, onError: options.onError })

  return {
    async close() {
      await loop.stop()
      await subscription?.close()
    },
  }
}
