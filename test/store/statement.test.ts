import { expect, test } from 'vitest'
import { isStoreOutage, openPool } from '#store/db.ts'
import { preparingPool } from '#store/prepared.ts'
import { withDatabase } from '../support/database.ts'

withDatabase('a statement of a pool', (url) => {
  test('an error of the statement leaves its connection in use', async () => {
    const raw = openPool(url, { max: 1 })
    const pool = preparingPool(raw)
    const client = await pool.connect()
    await expect(client.query('SELECT 1 / 0', [])).rejects.toMatchObject({ code: '22012' })
    client.release()
    expect(raw.idleCount).toBe(1)
    await raw.end()
  })

  test('what a stopped server does not answer is given up, and its connection is not used again', async () => {
    const raw = openPool(url, { max: 1, statementMs: 50 })
    const pool = preparingPool(raw)
    const client = await pool.connect()
    const { rows } = await client.query<{ pid: number }>('SELECT pg_backend_pid() AS pid', [])
    const pid = rows[0]?.pid ?? 0
    process.kill(pid, 'SIGSTOP')
    try {
      await expect(client.query('SELECT 1', [])).rejects.toSatisfy(isStoreOutage)
      client.release()
      expect(raw.totalCount).toBe(0)
      const next = await pool.connect()
      const answer = await next.query<{ pid: number }>('SELECT pg_backend_pid() AS pid', [])
      expect(answer.rows[0]?.pid).not.toBe(pid)
      next.release()
    } finally {
      process.kill(pid, 'SIGCONT')
    }
    await raw.end()
  }, 30_000)
})
