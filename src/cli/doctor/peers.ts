import { connect as connectTcp, type Socket } from 'node:net'
import { connect as connectTls } from 'node:tls'
import { type Config, endpointVariable } from '#config.ts'
import type { LookUpManifest } from '#connect/lookup-manifest.ts'
import type { Manifest } from '#connect/manifest.ts'
import { type Finding, sound, unsound } from './finding.ts'

const WITHIN_MS = 3_000

/** Whether the systems behind the connectors can be reached. Only a connection is made: a request could have an effect. */
export function peerFindings(
  config: Config,
  manifests: readonly Manifest[],
  lookUps: readonly LookUpManifest[],
): Promise<readonly Finding[]> {
  return Promise.all([
    ...manifests.map((manifest) =>
      peerFinding(config, manifest, {
        zh: `恢复后运行 dianqiao connector resume ${manifest.id}`,
        en: `then run dianqiao connector resume ${manifest.id}`,
      }),
    ),
    ...lookUps.map((manifest) =>
      peerFinding(config, manifest, {
        zh: '在此之前以枢纽留存的证照应答，并注明',
        en: 'until then the hub’s own documents stand in, and its answers say so',
      }),
    ),
  ])
}

async function peerFinding(
  config: Config,
  { id, endpoint }: Pick<Manifest, 'id' | 'endpoint'>,
  after: Finding['what'],
): Promise<Finding> {
  const name = `peer ${id}`
  const url = config.endpoints[endpoint.name]
  const variable = endpointVariable(endpoint.name)
  if (url === undefined) {
    if (config.sandbox) return sound(name, '使用脚本化的沙箱对端', 'the scripted sandbox peer stands in')
    return unsound(
      name,
      { zh: `没有对端地址：变量 ${variable} 未设置`, en: `no address: the variable ${variable} is not set` },
      { zh: `设置 ${variable} 为对端系统的基址`, en: `set ${variable} to the base URL of the system` },
    )
  }
  const fault = await connectionFault(url)
  if (fault === undefined) return sound(name, `${origin(url)} 可连接`, `${origin(url)} takes connections`)
  return unsound(
    name,
    { zh: `无法连接 ${origin(url)}：${fault}`, en: `${origin(url)} cannot be reached: ${fault}` },
    {
      zh: `核对 ${variable}、网络策略、对端服务与证书；${after.zh}`,
      en: `check ${variable}, the network, the system and its certificate; ${after.en}`,
    },
  )
}

/** Scheme, host and port: an address may hold credentials. */
const origin = (url: string): string => (URL.canParse(url) ? new URL(url).origin : '?')

function connectionFault(url: string): Promise<string | undefined> {
  if (!URL.canParse(url)) return Promise.resolve('not a URL')
  const { protocol, hostname, port } = new URL(url)
  const host = hostname.replace(/^\[|\]$/g, '')
  const isTls = protocol === 'https:'
  const to = { host, port: Number(port || (isTls ? 443 : 80)) }
  return new Promise((resolve) => {
    const socket: Socket = isTls ? connectTls({ ...to, servername: host }) : connectTcp(to)
    const end = (fault: string | undefined): void => {
      socket.destroy()
      resolve(fault)
    }
    socket.setTimeout(WITHIN_MS, () => end(`no answer within ${WITHIN_MS} ms`))
    socket.once(isTls ? 'secureConnect' : 'connect', () => end(undefined))
    socket.once('error', (error: NodeJS.ErrnoException) => end(error.code ?? error.message))
  })
}
