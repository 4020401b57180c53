import { createRequire } from 'node:module'

interface RequestQueue {
  readonly pending: readonly unknown[]
  throttledUntil: number
  throttleCheckTimeoutId: NodeJS.Timeout | null
  checkPendingRequests(): void
}

const WHILE_PENDING_MS = 10

/**
 * kafkajs 2.2.4 arms a timer of (throttledUntil − now) ms, which is negative, after every answer and again each time
 * that timer fires, although nothing waits: a timer each millisecond per idle connection (6 % of a core, and Node's
 * TimeoutNegativeWarning). A look at the queue is needed only while requests wait in it.
 */
export function calmRequestQueue(): void {
  const require = createRequire(import.meta.url)
  const queue = require('kafkajs/src/network/requestQueue') as {
    readonly prototype: { scheduleCheckPendingRequests(this: RequestQueue): void }
  }
  queue.prototype.scheduleCheckPendingRequests = function (this: RequestQueue): void {
    if (this.throttleCheckTimeoutId !== null || this.pending.length === 0) return
    const throttledMs = this.throttledUntil - Date.now()
    this.throttleCheckTimeoutId = setTimeout(
      () => {
        this.throttleCheckTimeoutId = null
        this.checkPendingRequests()
      },
      throttledMs > 0 ? throttledMs : WHILE_PENDING_MS,
    )
  }
}
