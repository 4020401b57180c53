import { HubError } from '#kernel/errors.ts'

/**
 * Sends one notice after the other. One that is refused, whatever is odd about it, keeps no other from being sent: its
 * refusal is thrown at the end. What may pass is thrown at once.
 */
export async function sendEach<T>(notices: readonly T[], send: (notice: T) => Promise<void>): Promise<void> {
  let refused: HubError | undefined
  for (const notice of notices) {
    try {
      await send(notice)
    } catch (error) {
      if (!(error instanceof HubError) || error.retriable) throw error
      refused ??= error
    }
  }
  if (refused !== undefined) throw refused
}
