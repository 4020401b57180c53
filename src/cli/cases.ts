import { rebuildCases } from '#cases/fold.ts'
import { caseProgress } from '#cases/progress.ts'
import { foldSources } from '#compose-loops.ts'
import { printJson, say } from './output.ts'
import { withCore } from './with-core.ts'

/** Cases by any number, one JSON line each; `case.not_found` when there is none. */
export async function showCase(number: string): Promise<void> {
  for (const one of await withCore((core) => caseProgress(core.db, number, undefined))) printJson(one)
}

export async function rebuild(): Promise<void> {
  const folded = await withCore((core) => rebuildCases(core.db, foldSources(core)))
  say(`folded ${folded} log positions`)
}
