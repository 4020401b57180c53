import { execFile } from 'node:child_process'
import { randomBytes } from 'node:crypto'
import { rm } from 'node:fs/promises'
import { join } from 'node:path'
import { promisify } from 'node:util'

export interface NodePlan {
  /** From 1. */
  readonly id: number
  readonly ports: { readonly plain: number; readonly controller: number; readonly secure: number }
  readonly directory: string
}

export interface Certificate {
  readonly keyStore: string
  readonly password: string
  /** PEM. */
  readonly pem: string
}

/** `server.properties` of one node (Kafka documentation, Broker Configs), tuned to start fast and to stay small. */
export function propertiesOf(plan: NodePlan, all: readonly NodePlan[], certificate?: Certificate): string {
  const { id, ports, directory } = plan
  const replication = String(all.length)
  const insync = all.length > 1 ? '2' : '1'
  const client = `PLAINTEXT://127.0.0.1:${ports.plain}`
  const listeners = certificate === undefined ? client : `${client},SECURE://127.0.0.1:${ports.secure}`
  const properties: Record<string, string> = {
    'process.roles': 'broker,controller',
    'node.id': String(id),
    'controller.quorum.voters': all.map((node) => `${node.id}@127.0.0.1:${node.ports.controller}`).join(','),
    listeners: `${listeners},CONTROLLER://127.0.0.1:${ports.controller}`,
    'advertised.listeners': listeners,
    'controller.listener.names': 'CONTROLLER',
    'inter.broker.listener.name': 'PLAINTEXT',
    'listener.security.protocol.map': 'PLAINTEXT:PLAINTEXT,CONTROLLER:PLAINTEXT,SECURE:SASL_SSL',
    'log.dirs': join(directory, 'log'),
    'offsets.topic.replication.factor': replication,
    'offsets.topic.num.partitions': '1',
    'transaction.state.log.replication.factor': replication,
    'transaction.state.log.num.partitions': '1',
    'transaction.state.log.min.isr': insync,
    'share.coordinator.state.topic.replication.factor': replication,
    'share.coordinator.state.topic.num.partitions': '1',
    'share.coordinator.state.topic.min.isr': insync,
    'group.initial.rebalance.delay.ms': '0',
    'auto.create.topics.enable': 'false',
    // Tests need not wait long until a member that was killed is given up.
    'group.min.session.timeout.ms': '1000',
    'num.network.threads': '2',
    'num.io.threads': '4',
    // A node that was killed registers again only when its former self is given up.
    'broker.session.timeout.ms': '3000',
    'broker.heartbeat.interval.ms': '500',
    ...(certificate === undefined ? {} : secured(certificate)),
  }
  return Object.entries(properties)
    .map(([name, value]) => `${name}=${value}\n`)
    .join('')
}

const secured = ({ keyStore, password }: Certificate): Record<string, string> => ({
  'ssl.keystore.location': keyStore,
  'ssl.keystore.type': 'PKCS12',
  'ssl.keystore.password': password,
  'listener.name.secure.sasl.enabled.mechanisms': 'SCRAM-SHA-512',
  'listener.name.secure.scram-sha-512.sasl.jaas.config':
    'org.apache.kafka.common.security.scram.ScramLoginModule required;',
  'authorizer.class.name': 'org.apache.kafka.metadata.authorizer.StandardAuthorizer',
  // The plain listeners: the nodes themselves, and tests that set up the rights of others.
  'super.users': 'User:ANONYMOUS',
})

/** A self-signed certificate for loopback, made anew for each cluster by the JDK's keytool. */
export async function makeCertificate(directory: string): Promise<Certificate> {
  const keyStore = join(directory, 'broker.p12')
  const password = randomBytes(18).toString('base64url')
  await rm(keyStore, { force: true })
  const store = ['-alias', 'broker', '-keystore', keyStore, '-storetype', 'PKCS12', '-storepass', password]
  const subject = ['-dname', 'CN=127.0.0.1', '-ext', 'san=ip:127.0.0.1,dns:localhost', '-validity', '3650']
  const keytool = promisify(execFile)
  await keytool('keytool', ['-genkeypair', '-keyalg', 'EC', '-groupname', 'secp256r1', ...subject, ...store])
  const { stdout } = await keytool('keytool', ['-exportcert', '-rfc', ...store])
  return { keyStore, password, pem: stdout }
}
