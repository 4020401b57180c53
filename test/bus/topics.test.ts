import { expect, test } from 'vitest'
import { applyTopics, grantTopics, type TopicPlan } from '#bus/topics.ts'
import { scriptedKafka } from './scripted-kafka.ts'

/** A controller takes a change at once; a broker goes on answering the old state for some questions. */
const QUESTIONS_BEHIND = 3
const SETTINGS = { brokers: ['none.invalid:9092'], clientId: 'topics' }
const PLAN: TopicPlan = { partitions: 4, replicationFactor: 1, retentionMs: 86_400_000 }

test('a changed topic is reported when the broker answers with what was set', async () => {
  let set: Readonly<Record<string, string>> = {}
  let questions = 0
  const { client } = scriptedKafka({
    admin: {
      topics: async () => ['dx.in.league'],
      setConfig: async (_, config) => {
        set = config
        questions = 0
      },
      config: async () => {
        questions += 1
        return questions > QUESTIONS_BEHIND ? set : {}
      },
    },
  })
  const applied = await applyTopics(SETTINGS, ['dx.in.league'], PLAN, client)
  expect(applied).toEqual([{ topic: 'dx.in.league', outcome: 'adjusted' }])
  expect(questions).toBe(QUESTIONS_BEHIND + 1)
})

test('rights are given when the broker knows each of them', async () => {
  const questions = new Map<string, number>()
  const { client } = scriptedKafka({
    admin: {
      holds: async (grant) => {
        const right = JSON.stringify(grant)
        const asked = (questions.get(right) ?? 0) + 1
        questions.set(right, asked)
        return asked > QUESTIONS_BEHIND
      },
    },
  })
  await grantTopics(SETTINGS, [{ party: 'league', user: 'league' }], client)
  expect([...questions.values()]).toEqual(Array(4).fill(QUESTIONS_BEHIND + 1))
})
