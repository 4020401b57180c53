import { rebuildCases } from '#cases/fold.ts'
import { caseProgress } from '#cases/progress.ts'
import { type Core, openCore } from '#compose.ts'
import { foldSources } from '#compose-loops.ts'
import { configFromProcess } from '#config.ts'
import { openStore } from './boot.ts'
import { createLog } from './log.ts'
import { printJson, say } from './output.ts'

/** Cases by any number, one JSON line each; `case.not_found` when there is none. */
export async function showCase(number: string): Promise<void> {
  for (const one of await withCore((core) => caseProgress(core.db, number, undefined))) printJson(one)
}

export async function rebuild(): Promise<void> {
  const folded = await withCore((core) => rebuildCases(core.db, foldSources(core)))
  say(`folded ${folded} log positions`)
}

async function withCore<R>(use: (core: Core) => Promise<R>): Promise<R> {
  const config = configFromProcess()
  const log = createLog(config.logLevel)
  const store = await openStore(config, log)
  try {
    const core = await openCore(config, store.url, log)
    try {
      return await use(core)
    } finally {
      await core.close()
    }
  } finally {
    await store.stop()
  }
}
