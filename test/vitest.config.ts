import { join } from 'node:path'
import { defineConfig } from 'vitest/config'
import { summary } from './support/reporter.ts'

const root = join(import.meta.dirname, '..')
/** Files that load the whole machine or judge by its clock: one at a time, when the others are done. */
const ALONE = ['test/bench/*.test.ts', 'test/contracts/many.test.ts', 'test/faults/random-kills.test.ts']

export default defineConfig({
  root,
  test: {
    globalSetup: [join(root, 'test/support/global-setup.ts'), join(root, 'test/support/kafka-setup.ts')],
    pool: 'forks',
    // Tests of one file that run at once start a hub each.
    maxConcurrency: 2,
    testTimeout: 20_000,
    hookTimeout: 60_000,
    teardownTimeout: 30_000,
    reporters: ['dot', summary()],
    projects: [
      // A file may start several hubs and a broker: more than two at a time starve one another on two cores.
      {
        extends: true,
        test: { name: 'together', include: ['test/**/*.test.ts'], exclude: ALONE, maxWorkers: 2 },
      },
      { extends: true, test: { name: 'alone', include: ALONE, maxWorkers: 1, sequence: { groupOrder: 1 } } },
    ],
  },
})
