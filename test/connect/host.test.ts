import path from 'node:path'
import { afterAll, expect, it } from 'vitest'
import { openEmbeddedBus } from '#bus/embedded.ts'
import { startConnectorHost } from '#connect/host.ts'
import { openDb } from '#store/db.ts'
import { withDatabase } from '../support/database.ts'
import { plainSeal, plainVault } from '../support/vault.ts'

withDatabase('starting a connector host', (url) => {
  const db = openDb(url, { max: 4 })
  const bus = openEmbeddedBus(db, plainSeal)
  afterAll(async () => {
    await bus.close()
    await db.destroy()
  })
  const options = {
    db,
    bus,
    directory: path.join(import.meta.dirname, '../../connectors/inner-mongolia-power-marketing'),
    endpoint: { url: 'http://127.0.0.1:1' },
    hub: 'dianqiao',
    vault: plainVault,
    decrypt: async (value: string) => value,
    verifyDelivery: () => ({ claims: {}, data: {} }),
    signExchange: () => 'a.b.c',
    sendExchange: async () => ({ receipt: 'r' }),
  }

  it('refuses a lease that a slow request could outlive', async () => {
    const tuning = { timeoutMs: 1_000, leaseMs: 1_500 }
    await expect(startConnectorHost({ ...options, tuning })).rejects.toMatchObject({ code: 'config.invalid' })
  })

  it('refuses an address that is none and a folder without a manifest', async () => {
    await expect(startConnectorHost({ ...options, endpoint: { url: 'x' } })).rejects.toMatchObject({
      code: 'config.invalid',
    })
    await expect(startConnectorHost({ ...options, directory: '/' })).rejects.toMatchObject({
      code: 'connector.invalid',
    })
  })

  it('reads the topic of its recipient, and stops when asked', async () => {
    const host = await startConnectorHost(options)
    expect(host.manifest.recipient).toBe('inner-mongolia-power')
    await bus.publish('dx.out.inner-mongolia-power', [{ key: 'k', value: 'x', headers: {} }])
    await expect.poll(() => bus.lag('dx.out.inner-mongolia-power', host.manifest.id)).toBe(0)
    await host.stop()
    await bus.publish('dx.out.inner-mongolia-power', [{ key: 'k', value: 'y', headers: {} }])
    expect(await bus.lag('dx.out.inner-mongolia-power', host.manifest.id)).toBe(1)
  })
})
