import { setTimeout as sleep } from 'node:timers/promises'
import { expect, test, vi } from 'vitest'
import { startLoop } from '#kernel/loop.ts'

test('a loop repeats at once while it finds work and then waits until it is woken', async () => {
  let left = 3
  let steps = 0
  const loop = startLoop(
    async () => {
      steps++
      return left-- > 0 ? 1 : 0
    },
    { pollMs: 60_000, onError: () => {} },
  )
  await sleep(20)
  expect(steps).toBe(4)
  loop.wake()
  await sleep(20)
  expect(steps).toBe(5)
  await loop.stop()
})

test('a loop that gathers begins no sooner than that after a step that found work, and at once after one that did not', async () => {
  const begun: number[] = []
  const loop = startLoop(
    async () => {
      begun.push(performance.now())
      return begun.length === 2 ? 1 : 0
    },
    { pollMs: 60_000, gatherMs: 50, onError: () => {} },
  )
  await sleep(5)
  loop.wake()
  await sleep(5)
  expect(begun).toHaveLength(2)
  loop.wake()
  await sleep(80)
  await loop.stop()
  const [, second = 0, third = 0] = begun
  expect(begun).toHaveLength(3)
  expect(third - second).toBeGreaterThanOrEqual(49)
})

test('being woken during a step is not lost', async () => {
  let steps = 0
  const loop = startLoop(
    async () => {
      steps++
      await sleep(5)
      if (steps === 1) loop.wake()
      return 0
    },
    { pollMs: 60_000, onError: () => {} },
  )
  await sleep(40)
  expect(steps).toBe(2)
  await loop.stop()
})

test('an error is told and does not end the loop; stopping waits for the step under way', async () => {
  const errors: unknown[] = []
  let ended = false
  const loop = startLoop(
    async () => {
      if (errors.length === 0) throw new RangeError('once')
      await sleep(30)
      ended = true
      return 0
    },
    { pollMs: 1, onError: (error) => errors.push(error) },
  )
  await sleep(5)
  expect(errors).toHaveLength(1)
  loop.wake()
  await sleep(5)
  await loop.stop()
  expect(ended).toBe(true)
})

test('a loop that fails or hangs for long says so, and one that works again says nothing', async () => {
  vi.useFakeTimers({ toFake: ['performance', 'setTimeout', 'clearTimeout'] })
  try {
    let works = false
    let release: (() => void) | undefined
    const loop = startLoop(
      async () => {
        if (!works) throw new Error('no')
        if (release !== undefined) await new Promise<void>((resolve) => (release = resolve))
        return 0
      },
      { pollMs: 100, onError: () => {} },
    )
    await vi.advanceTimersByTimeAsync(29_000)
    expect(loop.ailment()).toBeUndefined()
    await vi.advanceTimersByTimeAsync(3_000)
    expect(loop.ailment()).toMatch(/^failing for 3\d s$/)
    works = true
    await vi.advanceTimersByTimeAsync(2_000)
    expect(loop.ailment()).toBeUndefined()
    release = () => {}
    await vi.advanceTimersByTimeAsync(62_000)
    expect(loop.ailment()).toMatch(/^hanging for 6\d s$/)
    const held = release
    release = undefined
    held()
    await vi.advanceTimersByTimeAsync(200)
    expect(loop.ailment()).toBeUndefined()
    await loop.stop()
  } finally {
    vi.useRealTimers()
  }
})
