import { Worker } from 'node:worker_threads'
import { HubError } from '#kernel/errors.ts'
import { unexplained } from './explain.ts'
import type { CompareRequest, Compatibility } from './verdict.ts'

/** As `compat`; what takes longer than the limit, or more memory, is `unproven`. Rejects only with `hub.busy`. */
export type BoundedComparison = (request: CompareRequest) => Promise<Compatibility>

interface Waiting {
  readonly request: CompareRequest
  readonly answer: (found: Compatibility) => void
}

/**
 * `compat` for schemas of others: in a thread of its own with limits of time and memory, one at a time, so that whoever
 * serves parties is never held up. The thread starts with the first request.
 */
export function createBoundedComparison(limits: {
  readonly timeoutMs: number
  readonly memoryMb: number
  readonly maxWaiting: number
}): BoundedComparison {
  const waiting: Waiting[] = []
  let worker: Worker | undefined
  let current: { readonly answer: Waiting['answer']; readonly timer: NodeJS.Timeout } | undefined

  function start(): Worker {
    const started = new Worker(new URL('./compare-worker.ts', import.meta.url), {
      resourceLimits: { maxOldGenerationSizeMb: limits.memoryMb },
    })
    started.unref()
    started.on('message', (found: Compatibility) => {
      if (started === worker) finish(found)
    })
    started.on('error', () => {
      if (started === worker) abandon()
    })
    return started
  }

  function finish(found: Compatibility): void {
    clearTimeout(current?.timer)
    current?.answer(found)
    current = undefined
    next()
  }

  function abandon(): void {
    void worker?.terminate()
    worker = undefined
    finish(unexplained('budget'))
  }

  function next(): void {
    if (current !== undefined) return
    const one = waiting.shift()
    if (one === undefined) return
    worker ??= start()
    current = { answer: one.answer, timer: setTimeout(abandon, limits.timeoutMs) }
    try {
      worker.postMessage(one.request)
    } catch {
      // Nested deeper than the stack allows to copy: no other request, and not the process, may end with it.
      finish(unexplained('budget'))
    }
  }

  return (request) =>
    new Promise((answer, reject) => {
      if (waiting.length >= limits.maxWaiting) {
        reject(new HubError('hub.busy', { retryAfterSeconds: 1 }))
        return
      }
      waiting.push({ request, answer })
      next()
    })
}
