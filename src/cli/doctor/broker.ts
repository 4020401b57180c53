import type { Bus } from '#bus/bus.ts'
import { inTopic, outTopic } from '#bus/topic-names.ts'
import type { Log } from '#compose.ts'
import { openBus } from '#compose-bus.ts'
import type { Config } from '#config.ts'
import type { Manifest } from '#connect/manifest.ts'
import { DOOR_GROUP } from '#gateway/kafka/door.ts'
import { HubError } from '#kernel/errors.ts'
import type { Db } from '#store/db.ts'
import { readRegister } from '#store/party-queries.ts'
import { openGenerations } from '#store/topic-queries.ts'
import { type Finding, sound, unsound } from './finding.ts'

const WITHIN_MS = 15_000
const TOO_MANY = 10_000

/** The doctor asks how far readers are, and neither publishes nor reads. */
const never = (): never => {
  throw new HubError('hub.internal')
}
const NOTHING_READ = { seal: never, open: never }

/** The bus answers for every topic that the hub reads, and its readers are not far behind. */
export async function brokerFindings(
  db: Db,
  config: Config,
  manifests: readonly Manifest[],
  log: Log,
): Promise<readonly Finding[]> {
  const { parties } = await readRegister(db)
  const readers = [
    ...parties.filter((party) => party.bus_door).map(({ id }) => ({ topic: inTopic(id), group: DOOR_GROUP })),
    ...(
      await Promise.all(
        manifests.map(async ({ id, recipient }) =>
          (
            await openGenerations(db, recipient)
          ).map((generation) => ({ topic: outTopic(recipient, generation), group: id })),
        ),
      )
    ).flat(),
  ]
  const bus = await openBus(config, db, NOTHING_READ, log)
  try {
    const lags = await within(
      WITHIN_MS,
      Promise.all(readers.map(async (reader) => ({ ...reader, lag: await bus.lag(reader.topic, reader.group) }))),
    )
    const late = lags.filter(({ lag }) => lag > TOO_MANY).map(({ topic, group, lag }) => `${topic} ${group} ${lag}`)
    const where = config.kafka === undefined ? 'embedded' : config.kafka.brokers.join(',')
    if (late.length === 0)
      return [sound('broker', `${where}，${lags.length} 个读者`, `${where}, ${lags.length} readers`)]
    return [
      unsound(
        'broker',
        { zh: `消费落后：${late.join('; ')}`, en: `readers are behind: ${late.join('; ')}` },
        { zh: '见 runbook/DianqiaoBusLag.md', en: 'see runbook/DianqiaoBusLag.md' },
      ),
    ]
  } finally {
    await closeSoon(bus)
  }
}

async function within<T>(ms: number, work: Promise<T>): Promise<T> {
  let timer: NodeJS.Timeout | undefined
  const late = new Promise<never>((_resolve, reject) => {
    const detail = { zh: `${ms / 1_000} 秒内没有应答`, en: `no answer within ${ms / 1_000} s` }
    timer = setTimeout(() => reject(new HubError('bus.unavailable', { detail })), ms)
  })
  try {
    return await Promise.race([work, late])
  } finally {
    clearTimeout(timer)
  }
}

/** A broker that does not answer must not keep the doctor from telling the rest. */
const closeSoon = (bus: Bus): Promise<void> => within(2_000, bus.close()).catch(() => undefined)
