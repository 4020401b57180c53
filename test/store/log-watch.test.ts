import { afterAll, beforeAll, expect, test } from 'vitest'
import { watchLog } from '#store/log-watch.ts'
import { newNumber, result } from '../gateway/messages.ts'
import { withDatabase } from '../support/database.ts'
import { openTestHub, type TestHub } from '../support/hub.ts'
import { onServer } from '../support/server.ts'

withDatabase('who watches the log', (databaseUrl) => {
  let hub: TestHub
  beforeAll(async () => {
    hub = await openTestHub(databaseUrl)
  })
  afterAll(() => hub.close())

  const push = async (): Promise<number> => (await hub.party('platform-chifeng').push(result(newNumber()))).status

  test('hears of what another connection commits, also after its own connection was lost', async () => {
    let heard = 0
    const errors: Error[] = []
    const watch = watchLog(databaseUrl, { onNews: () => heard++, onError: (error) => errors.push(error) })
    // It looks once when it begins to listen: what came before nobody would tell it.
    await expect.poll(() => heard).toBe(1)
    expect(await push()).toBe(202)
    await expect.poll(() => heard).toBe(2)

    await onServer(databaseUrl, (client) =>
      client.query(
        `SELECT pg_terminate_backend(pid) FROM pg_stat_activity
         WHERE application_name = 'dianqiao-log-watch' AND datname = current_database()`,
      ),
    )
    await expect.poll(() => heard, { timeout: 5_000 }).toBe(3)
    expect(errors).toHaveLength(1)
    expect(await push()).toBe(202)
    await expect.poll(() => heard).toBe(4)
    await watch.close()
    expect(await push()).toBe(202)
    expect(heard).toBe(4)
  })

  test('gives no sign of a database that is not there but its error, and ends at once', async () => {
    const errors: Error[] = []
    const nowhere = 'postgresql://nobody@127.0.0.1:9/nothing'
    const watch = watchLog(nowhere, { onNews: () => expect.unreachable(), onError: (error) => errors.push(error) })
    await expect.poll(() => errors.length).toBe(1)
    await watch.close()
  })
})
