import { openKafkaBus } from '#bus/kafka.ts'
import { makeTopic, QUICK_TIMES, withKafka } from '../support/kafka.ts'
import { busSuite } from './bus-suite.ts'

withKafka('the Kafka bus', (brokers) => {
  busSuite(
    () => openKafkaBus({ brokers: brokers(), clientId: 'bus-suite', times: QUICK_TIMES }),
    (topic) => makeTopic(brokers(), topic),
  )
})
