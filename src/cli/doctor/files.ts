import { existsSync } from 'node:fs'
import path from 'node:path'
import { PROJECT_ROOT } from '#compose.ts'
import { CONNECTORS } from '#compose-lookups.ts'
import { metricsToken } from '#compose-metrics.ts'
import type { Config } from '#config.ts'
import { connectorFolders } from '#connect/folders.ts'
import { type LookUpManifest, loadLookUpManifest } from '#connect/lookup-manifest.ts'
import { loadManifest, type Manifest } from '#connect/manifest.ts'
import { loadContracts } from '#contracts/load.ts'
import { readPartySigner } from '#parties/key-files.ts'
import { openKeyRing } from '#trust/key-ring.ts'
import { type Finding, sound, unsound, unsoundBecause } from './finding.ts'

/** Contracts and schemas are whole; says their digest, by which two hubs can be compared. */
export async function contractFindings(): Promise<readonly Finding[]> {
  const contracts = loadContracts(PROJECT_ROOT)
  const count = contracts.list().length
  return [sound('contracts', `${count} 份合同，${contracts.digest}`, `${count} contracts, ${contracts.digest}`)]
}

/** The manifests that can be read, and a finding for each folder. */
export async function readManifests(): Promise<{
  readonly manifests: readonly Manifest[]
  readonly lookUps: readonly LookUpManifest[]
  readonly findings: readonly Finding[]
}> {
  const folders = await connectorFolders(CONNECTORS)
  const sinks = await readEach(folders.sinks, loadManifest)
  const lookUps = await readEach(folders.lookUps, loadLookUpManifest)
  const findings = [...sinks.findings, ...lookUps.findings]
  return { manifests: sinks.manifests, lookUps: lookUps.manifests, findings }
}

async function readEach<M extends { readonly version: string }>(
  folders: readonly string[],
  load: (directory: string) => Promise<M>,
): Promise<{ readonly manifests: readonly M[]; readonly findings: readonly Finding[] }> {
  const manifests: M[] = []
  const findings: Finding[] = []
  for (const folder of folders) {
    const name = `connector ${path.basename(folder)}`
    try {
      const manifest = await load(folder)
      manifests.push(manifest)
      findings.push(
        sound(name, `清单有效，版本 ${manifest.version}`, `its manifest is valid, version ${manifest.version}`),
      )
    } catch (error) {
      findings.push(unsoundBecause(name, error))
    }
  }
  return { manifests, findings }
}

/** Private keys that this process needs: the hub's ring, and one for each connector it runs. */
export async function keyFindings(config: Config, manifests: readonly Manifest[]): Promise<readonly Finding[]> {
  return [
    attempt('hub key', () => hubKeyFinding(config)),
    ...manifests.map(({ party }) => attempt(`key of ${party}`, () => partyKeyFinding(config, party))),
    ...(config.metricsTokenFile === undefined
      ? []
      : [
          attempt('metrics token', () => {
            metricsToken(config)
            return sound('metrics token', '可用', 'usable')
          }),
        ]),
  ]
}

function hubKeyFinding({ hubKeysFile: file }: Config): Finding {
  if (!existsSync(file)) {
    return unsound(
      'hub key',
      { zh: `没有密钥环 ${file}：无法出具回执`, en: `there is no key ring ${file}: nothing can be signed` },
      {
        zh: '恢复备份的密钥环；只有新建的枢纽才运行 dianqiao seed 生成新的',
        en: 'restore the key ring from its backup; only for a new hub run dianqiao seed, which makes one',
      },
    )
  }
  const { kid } = openKeyRing(file, false).signer
  return sound('hub key', `以 ${kid} 签名`, `signs with ${kid}`)
}

function partyKeyFinding(config: Config, party: string): Finding {
  const signer = readPartySigner(config.partyKeysDir, party)
  if (signer !== undefined) return sound(`key of ${party}`, `私钥 ${signer.kid}`, `private key ${signer.kid}`)
  return unsound(
    `key of ${party}`,
    { zh: `${config.partyKeysDir} 中没有 ${party} 的私钥`, en: `no private key of ${party} in ${config.partyKeysDir}` },
    {
      zh: `将 ${party}.json（私钥 JWK，权限 0600）放入该目录，或运行 dianqiao seed 生成`,
      en: `put ${party}.json (private JWK, mode 0600) there, or run dianqiao seed to make one`,
    },
  )
}

function attempt(name: string, look: () => Finding): Finding {
  try {
    return look()
  } catch (error) {
    return unsoundBecause(name, error)
  }
}
