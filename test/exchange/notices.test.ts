import { expect, test } from 'vitest'
import { sendEach } from '#exchange/notices.ts'
import { HubError } from '#kernel/errors.ts'

const sending = (failures: Readonly<Record<number, Error>>) => {
  const sent: number[] = []
  const send = async (n: number): Promise<void> => {
    const failure = failures[n]
    if (failure !== undefined) throw failure
    sent.push(n)
  }
  return { sent, send }
}

test('a notice that is refused keeps no other from being sent, and is told at the end', async () => {
  const { sent, send } = sending({ 2: new HubError('exchange.conflict'), 3: new HubError('contract.schema_violated') })
  await expect(sendEach([1, 2, 3, 4], send)).rejects.toMatchObject({ code: 'exchange.conflict' })
  expect(sent).toEqual([1, 4])
})

test.each([new HubError('hub.store_unavailable'), new TypeError('a fault of ours')])(
  '%s ends it at once',
  async (failure) => {
    const { sent, send } = sending({ 2: failure })
    await expect(sendEach([1, 2, 3], send)).rejects.toBe(failure)
    expect(sent).toEqual([1])
  },
)
