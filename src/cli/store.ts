import { configFromProcess } from '#config.ts'
import { migrate } from '#store/migrate.ts'
import { openStore, prepare } from './boot.ts'
import { createLog } from './log.ts'
import { say } from './output.ts'

export async function migrateStore(): Promise<void> {
  const config = configFromProcess()
  const store = await openStore(config, createLog(config.logLevel))
  try {
    await migrate(store.url)
    say('migrated')
  } finally {
    await store.stop()
  }
}

export async function seedStore(): Promise<void> {
  const config = configFromProcess()
  const store = await openStore(config, createLog(config.logLevel))
  try {
    await prepare(config, store.url)
    say(`seeded; party keys in ${config.partyKeysDir}`)
  } finally {
    await store.stop()
  }
}
