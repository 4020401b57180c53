import { join } from 'node:path'
import { defineConfig } from 'vitest/config'
import { NODE_COMPILE_CACHE } from './support/compile-cache.ts'
import { summary } from './support/reporter.ts'

const root = join(import.meta.dirname, '..')

export default defineConfig({
  root,
  test: {
    include: ['test/**/*.test.ts'],
    globalSetup: [join(root, 'test/support/global-setup.ts'), join(root, 'test/support/kafka-setup.ts')],
    pool: 'forks',
    env: { NODE_COMPILE_CACHE },
    // Many files wait for a killed process or a broker: three at a time keep two cores busy.
    maxWorkers: 3,
    testTimeout: 20_000,
    hookTimeout: 60_000,
    teardownTimeout: 30_000,
    reporters: ['dot', summary()],
  },
})
