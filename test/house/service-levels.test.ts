import { expect, test } from 'vitest'
import { loadContracts } from '#contracts/load.ts'
import { root, sourceFiles, textOf } from './sources.ts'

/** Names that the hub gives its metrics. */
const metrics = new Set(
  sourceFiles('src/gateway', 'src')
    .filter((file) => /metric/.test(file))
    .flatMap((file) => [...textOf(file).matchAll(/'(dianqiao_[a-z_]+)'/g)].map(([, name]) => name)),
)

test('every service level of a contract is bound to a metric that the hub has', () => {
  const bound = loadContracts(root)
    .list()
    .flatMap(({ ref, sla }) => sla.map(({ metric }) => ({ ref, metric })))
  expect(bound.length).toBeGreaterThan(0)
  expect(bound.filter(({ metric }) => !metrics.has(metric))).toEqual([])
})
