import { parentPort } from 'node:worker_threads'
import { compat } from './compare.ts'
import type { CompareRequest } from './verdict.ts'

/** The comparison apart from the event loop that serves parties: one request after the other. */
parentPort?.on('message', ({ earlier, next, mode, strict }: CompareRequest) => {
  parentPort?.postMessage(compat(earlier, next, mode, { strict }))
})
