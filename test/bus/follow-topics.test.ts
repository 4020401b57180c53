import { afterAll, beforeAll, expect, test } from 'vitest'
import type { Bus } from '#bus/bus.ts'
import { openEmbeddedBus } from '#bus/embedded.ts'
import { followTopics } from '#bus/follow-topics.ts'
import { HubError } from '#kernel/errors.ts'
import { type Db, openDb } from '#store/db.ts'
import { withDatabase } from '../support/database.ts'
import { plainSeal } from '../support/vault.ts'
import { eventually } from './eventually.ts'

withDatabase('following topics', (databaseUrl) => {
  let db: Db
  let bus: Bus
  const seen: string[] = []
  const errors: unknown[] = []
  const reading = { group: 'reader', everyMs: 50, onError: (error: unknown) => void errors.push(error) }
  const onBatch: Parameters<Bus['subscribe']>[0]['onBatch'] = async (batch) =>
    void seen.push(...batch.map(({ topic, value }) => `${topic} ${value.toString()}`))
  const publish = (topic: string, value: string) => bus.publish(topic, [{ key: 'k', value, headers: {} }])
  beforeAll(() => {
    db = openDb(databaseUrl, { max: 4 })
    bus = openEmbeddedBus(db, plainSeal)
  })
  afterAll(async () => {
    await bus.close()
    await db.destroy()
  })

  test('a topic that joins is read, and what was read is not read again', async () => {
    let topics = ['a']
    const following = await followTopics(bus, { ...reading, topics: async () => topics, onBatch })
    await publish('a', '1')
    await eventually(() => expect(seen).toEqual(['a 1']))
    topics = ['a', 'b']
    await publish('b', '2')
    await eventually(() => expect(seen).toEqual(['a 1', 'b 2']))
    await publish('a', '3')
    await eventually(() => expect(seen).toEqual(['a 1', 'b 2', 'a 3']))
    topics = ['b']
    await publish('b', '4')
    await eventually(() => expect(seen).toEqual(['a 1', 'b 2', 'a 3', 'b 4']))
    await following.close()
  })

  test('a failure to learn the topics or to subscribe anew is told and tried again', async () => {
    let topics = ['c']
    let fails = 0
    const failing: Bus = {
      ...bus,
      subscribe: (options) =>
        options.topics.includes('d') && fails++ < 2
          ? Promise.reject(new HubError('bus.unavailable'))
          : bus.subscribe(options),
    }
    const following = await followTopics(failing, { ...reading, topics: async () => topics, onBatch })
    topics = ['c', 'd']
    await publish('d', '5')
    await eventually(() => expect(seen.at(-1)).toBe('d 5'))
    expect(errors).toMatchObject([{ code: 'bus.unavailable' }, { code: 'bus.unavailable' }])
    await following.close()
    await publish('d', '6')
    expect(seen.at(-1)).toBe('d 5')
  })
})
