import type { Reporter, TestCase, TestModule } from 'vitest/node'

/**
 * Names each failed test at once, and ends the run with `N passed, N failed` (and `, N skipped`, each skip named) on a line
 * of its own.
 */
export function summary(): Reporter {
  return {
    onTestCaseResult(test) {
      const { state, errors } = test.result()
      if (state === 'failed') console.log(`\nfailed: ${nameOf(test)}: ${errors[0]?.message ?? ''}`)
    },
    onTestRunEnd(modules, unhandledErrors) {
      const tests = modules.flatMap((module) => [...module.children.allTests()])
      const inState = (state: string): readonly TestCase[] => tests.filter((test) => test.result().state === state)
      const skipped = inState('skipped')
      const failed = inState('failed').length + modules.filter(brokenOutsideTests).length + unhandledErrors.length
      for (const test of skipped) console.log(`skipped: ${nameOf(test)}`)
      const tail = skipped.length > 0 ? `, ${skipped.length} skipped` : ''
      console.log(`${inState('passed').length} passed, ${failed} failed${tail}`)
    },
  }
}

const nameOf = ({ module, fullName }: TestCase): string => `${module.relativeModuleId} > ${fullName}`

/** A file that does not load, or a suite whose hooks fail, has no failed test to count. */
function brokenOutsideTests(module: TestModule): boolean {
  const suites = [module, ...module.children.allSuites()]
  return suites.some((suite) => suite.errors().length > 0)
}
