import { migrate } from '#store/migrate.ts'
import { prepare } from './boot.ts'
import { say } from './output.ts'
import { withStore } from './with-store.ts'

export const migrateStore = (): Promise<void> =>
  withStore(async (url) => {
    await migrate(url)
    say('migrated')
  })

export const seedStore = (): Promise<void> =>
  withStore(async (url, config) => {
    await prepare(config, url)
    say(`seeded; party keys in ${config.partyKeysDir}`)
  })
