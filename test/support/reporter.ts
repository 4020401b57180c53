import type { Reporter, TestCase, TestModule } from 'vitest/node'

/** Ends the run with `N passed, N failed` (and `, N skipped`, each skip named) on a line of its own. */
export function summary(): Reporter {
  return {
    onTestRunEnd(modules, unhandledErrors) {
      const tests = modules.flatMap((module) => [...module.children.allTests()])
      const inState = (state: string): readonly TestCase[] => tests.filter((test) => test.result().state === state)
      const skipped = inState('skipped')
      const failed = inState('failed').length + modules.filter(brokenOutsideTests).length + unhandledErrors.length
      for (const test of skipped) console.log(`skipped: ${test.module.relativeModuleId} > ${test.fullName}`)
      const tail = skipped.length > 0 ? `, ${skipped.length} skipped` : ''
      console.log(`${inState('passed').length} passed, ${failed} failed${tail}`)
    },
  }
}

/** A file that does not load, or a suite whose hooks fail, has no failed test to count. */
function brokenOutsideTests(module: TestModule): boolean {
  const suites = [module, ...module.children.allSuites()]
  return suites.some((suite) => suite.errors().length > 0)
}
