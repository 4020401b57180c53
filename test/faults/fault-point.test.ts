import { spawnSync } from 'node:child_process'
import { expect, test } from 'vitest'
import { createFaultPoint } from '../../src/faults.ts'

const passing = (configured: string, points: readonly string[]): { signal: string | null; passed: number } => {
  const script = `
    import { createFaultPoint } from ${JSON.stringify(new URL('../../src/faults.ts', import.meta.url).href)}
    const fault = createFaultPoint(${JSON.stringify(configured)})
    for (const point of ${JSON.stringify(points)}) { process.stdout.write('.'); fault(point) }`
  const { signal, stdout } = spawnSync(process.execPath, ['--input-type=module', '-e', script], { encoding: 'utf8' })
  return { signal, passed: stdout.length }
}

test('a configured point kills the process the n-th time it is reached, and no other point does', () => {
  expect(passing('a.b:3', ['a.b', 'a.c', 'a.b', 'a.c', 'a.b', 'a.c'])).toEqual({ signal: 'SIGKILL', passed: 5 })
  expect(passing('a.b', ['a.c', 'a.b', 'a.c'])).toEqual({ signal: 'SIGKILL', passed: 2 })
  expect(passing('a.b:3', ['a.b', 'a.b', 'a.c'])).toEqual({ signal: null, passed: 3 })
})

test('without a configured point ten million passes take less than a second', () => {
  const fault = createFaultPoint(undefined)
  const begun = performance.now()
  for (let n = 0; n < 10_000_000; n++) fault('host.after-effect')
  expect(performance.now() - begun).toBeLessThan(1_000)
})
