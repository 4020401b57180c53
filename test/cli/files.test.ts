import { spawn } from 'node:child_process'
import { join } from 'node:path'
import { text } from 'node:stream/consumers'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { PROJECT_ROOT } from '#compose.ts'
import { licenceCopy } from '#sandbox/ofd.ts'
import { newNumber, result } from '../gateway/messages.ts'
import { withDatabase } from '../support/database.ts'
import { certificate, digestOf, download, fileObject, upload } from '../support/files.ts'
import { ndjson, openTestHub, type TestHub } from '../support/hub.ts'

withDatabase('dianqiao file', (databaseUrl) => {
  let hub: TestHub
  beforeAll(async () => {
    hub = await openTestHub(databaseUrl)
  })
  afterAll(() => hub.close())

  async function run(...args: string[]) {
    const { dataDir } = hub.core.config
    const child = spawn(process.execPath, [join(PROJECT_ROOT, 'src/main.ts'), 'file', ...args], {
      env: { ...process.env, DATA_DIR: dataDir, DATABASE_URL: databaseUrl },
    })
    return ndjson(await text(child.stdout))
  }

  test('it lists what parties uploaded and until when it is named, and who fetched it', {
    timeout: 60_000,
  }, async () => {
    const platform = hub.party('platform-chifeng')
    const [named, unnamed] = [licenceCopy('named'), licenceCopy('unnamed', 300_000)]
    await upload(hub, platform, named)
    await upload(hub, hub.party('platform-hohhot'), unnamed, { range: [0, 270_000] })
    const object = fileObject(named)
    await platform.push(result(newNumber(), certificate(object) as never))
    expect((await download(hub, platform, digestOf(named), { range: 'bytes=2-9' })).status).toBe(206)

    const [all, own, fetches] = await Promise.all([
      run('ls'),
      run('ls', '--party', platform.id),
      run('fetches', digestOf(named)),
    ])
    expect(all).toHaveLength(2)
    expect(all.find(({ owner }) => owner === 'platform-hohhot')).toMatchObject({
      state: 'uploading',
      bytes: unnamed.length,
      stored: 262_144,
      namedUntil: null,
    })
    expect(own).toMatchObject([{ digest: digestOf(named), state: 'complete', namedUntil: object.copyExpiresAt }])
    expect(fetches).toMatchObject([{ party: platform.id, firstByte: 2, lastByte: 9 }])
  })
})
