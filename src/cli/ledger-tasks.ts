import path from 'node:path'
import { readLedgerTasks } from '#cases/ledger-tasks.ts'
import { PROJECT_ROOT } from '#compose.ts'
import { printJson } from './output.ts'

/** The tasks of the ledger, a JSON line each. */
export function listLedgerTasks(): void {
  for (const task of readLedgerTasks(path.join(PROJECT_ROOT, 'seeds'))) printJson(task)
}
