import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { describe, expect, test } from 'vitest'
import { readLedgerTasks } from '#cases/ledger-tasks.ts'
import { readStandards } from '#cases/standard-files.ts'
import { PROJECT_ROOT } from '#compose.ts'
import { loadContracts } from '#contracts/load.ts'

const tasks = readLedgerTasks(join(PROJECT_ROOT, 'seeds'))

describe('the ledger', () => {
  test('has 26 tasks, each answered or with the reason why nothing measures it', () => {
    expect(tasks.map(({ no }) => no)).toEqual(Array.from({ length: 26 }, (_, i) => i + 1))
    for (const { answers, notMeasured } of tasks) expect(answers === undefined).toBe(notMeasured !== undefined)
  })

  test('names contracts, standards and metrics that exist', () => {
    const contracts = new Set(
      loadContracts(PROJECT_ROOT)
        .list()
        .map(({ name }) => name),
    )
    const standards = new Set(
      Object.values(readStandards(join(PROJECT_ROOT, 'seeds/standards'))).flatMap((rows) => rows.map(({ id }) => id)),
    )
    const metrics = readFileSync(join(PROJECT_ROOT, 'src/gateway/operations/README.md'), 'utf8')
    const dead = tasks.flatMap(({ no, answers }) => [
      ...(answers?.contracts ?? []).filter((name) => !contracts.has(name)).map((name) => `${no}: contract ${name}`),
      ...(answers?.standards ?? []).filter((id) => !standards.has(id)).map((id) => `${no}: standard ${id}`),
      ...(answers?.figures ?? [])
        .filter((name) => !metrics.includes(`\`${name}\``))
        .map((name) => `${no}: metric ${name}`),
    ])
    expect(dead).toEqual([])
  })

  test('every contract and every standard that names a task is named by it', () => {
    const named = (no: number): readonly string[] => tasks[no - 1]?.answers?.contracts ?? []
    const rows = Object.values(readStandards(join(PROJECT_ROOT, 'seeds/standards'))).flat()
    const forgotten = [
      ...loadContracts(PROJECT_ROOT)
        .list()
        .filter(({ owner }) => owner !== 'test')
        .flatMap(({ name, legalBasis }) =>
          legalBasis.ledgerTasks.filter((no) => !named(no).includes(name)).map((no) => `${no}: ${name}`),
        ),
      ...rows.flatMap(({ id, source: { ledgerTask } }) =>
        ledgerTask === undefined || tasks[ledgerTask - 1]?.answers?.standards?.includes(id) === true
          ? []
          : [`${ledgerTask}: ${id}`],
      ),
    ]
    expect(forgotten).toEqual([])
  })

  test('keeps the ledger’s own defects as notes: no deadline in task 10, four figures for three classes in task 18', () => {
    expect(tasks[9]?.deadline).toBeUndefined()
    for (const no of [10, 13, 18]) expect(tasks[no - 1]?.defects?.length).toBeGreaterThan(0)
  })
})
