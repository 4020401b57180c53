import { type ChildProcess, fork } from 'node:child_process'
import path from 'node:path'

/** A process of the bench that answers one request at a time. */
export interface Child {
  readonly pid: number
  ask(method: string, input: unknown): Promise<unknown>
  stop(): Promise<void>
}

type Reply = { readonly result: unknown } | { readonly error: string }

/** Starts a script of this folder as a process of its own, so that its CPU time can be told from the others'. */
export function startChild(script: string, env: NodeJS.ProcessEnv = {}): Child {
  const child = fork(path.join(import.meta.dirname, script), { env: { PATH: process.env['PATH'], ...env } })
  const ended = new Promise<void>((resolve) => child.once('exit', () => resolve()))
  return {
    pid: child.pid ?? 0,
    ask: (method, input) => request(child, method, input),
    async stop() {
      if (child.connected) child.disconnect()
      await ended
    },
  }
}

function request(child: ChildProcess, method: string, input: unknown): Promise<unknown> {
  return new Promise((resolve, reject) => {
    const onExit = (code: number | null): void => reject(new Error(`bench child ended with ${code} during ${method}`))
    child.once('exit', onExit)
    child.once('message', (reply: Reply) => {
      child.off('exit', onExit)
      if ('error' in reply) reject(new Error(reply.error))
      else resolve(reply.result)
    })
    child.send({ method, input })
  })
}

type Handler = (input: never) => unknown

/** The other end: answers each request with the handler of its name; ends when the bench is gone. */
export function answerRequests(handlers: Readonly<Record<string, Handler>>): void {
  async function answer(method: string, input: never): Promise<void> {
    let reply: Reply
    try {
      reply = { result: await handlers[method]?.(input) }
    } catch (error) {
      reply = { error: error instanceof Error ? (error.stack ?? error.message) : String(error) }
    }
    process.send?.(reply)
  }
  process.on('message', ({ method, input }: { method: string; input: never }) => void answer(method, input))
  process.on('disconnect', () => process.exit())
}
