import { expect, test } from 'vitest'
import { type CallOutcome, createCircuit } from '#documents/circuit.ts'

function open() {
  const now = { ms: 1_000_000 }
  const circuit = createCircuit(() => now.ms, { failures: 3, openMs: 100, maxOpenMs: 350 })
  const call = (outcome: CallOutcome): boolean => {
    const end = circuit.enter()
    end?.(outcome)
    return end !== undefined
  }
  const fail = (times: number): void => {
    for (let n = 0; n < times; n++) call('failed')
  }
  return { now, circuit, call, fail }
}

test('so many failures in a row open it; an answer in between begins the count anew', () => {
  const { circuit, call, fail } = open()
  fail(2)
  call('answered')
  fail(2)
  expect(circuit.state()).toBe('closed')
  fail(1)
  expect(circuit.state()).toBe('open')
  expect(circuit.enter()).toBeUndefined()
})

test('when its time is over one probe goes and the others wait for what it finds', () => {
  const { now, circuit, fail } = open()
  fail(3)
  now.ms += 99
  expect(circuit.enter()).toBeUndefined()
  now.ms += 1
  expect(circuit.state()).toBe('half-open')
  const end = circuit.enter()
  expect(end).toBeDefined()
  expect(circuit.enter()).toBeUndefined()
  end?.('answered')
  expect(circuit.state()).toBe('closed')
  expect(circuit.enter()).toBeDefined()
})

test('each probe that fails doubles the time to the next, up to the most', () => {
  const { now, circuit, call, fail } = open()
  fail(3)
  for (const openMs of [100, 200, 350, 350]) {
    now.ms += openMs - 1
    expect(circuit.state(), String(openMs)).toBe('open')
    now.ms += 1
    expect(call('failed')).toBe(true)
  }
})

test('after it closed again it takes as many failures as before to open', () => {
  const { now, circuit, call, fail } = open()
  fail(3)
  now.ms += 100
  call('answered')
  fail(2)
  expect(circuit.state()).toBe('closed')
})

test('what began before it opened neither closes it nor keeps it open longer', () => {
  const { now, circuit, fail } = open()
  const [good, bad] = [circuit.enter(), circuit.enter()]
  fail(3)
  good?.('answered')
  expect(circuit.state()).toBe('open')
  bad?.('failed')
  now.ms += 100
  expect(circuit.state()).toBe('half-open')
})
