import { createHash } from 'node:crypto'
import type { JsonObject } from '#kernel/json.ts'
import { licenceCopy } from '#sandbox/ofd.ts'
import { pushAccepted, renumber, type Scenario, seeded } from './scenario.ts'
import { eventually } from './stage.ts'

const AUTHORITY = 'market-regulation-nmg'
const UTILITY = 'state-grid-east'
const COMPANY = '91150402MADEM002XN'
const OFD = 'application/ofd'
/** More than one chunk at the hub, so that there is something to resume. */
const PADDING = 400_000
const HOUR_MS = 3_600_000

/** A licence copy as OFD goes from the authority to the utility that asked for it, and to nobody else. */
export async function licenceCopyTravels(scenario: Scenario): Promise<void> {
  scenario.stage.act({ zh: '证照加注件（OFD 文件）', en: 'A licence copy travels as an OFD file' })
  const file = licenceCopy(`营业执照 ${COMPANY} ${scenario.run}`, PADDING)
  const digest = digestOf(file)
  await uploadInTwo(scenario, file, digest)
  await nameIt(scenario, file, digest)
  await fetchIt(scenario, file, digest)
}

const digestOf = (bytes: Uint8Array): string => `sha-256:${createHash('sha256').update(bytes).digest('base64url')}`

/** Three fifths, then whatever HEAD says is missing. */
async function uploadInTwo(scenario: Scenario, file: Buffer, digest: string): Promise<void> {
  const client = await scenario.client(AUTHORITY)
  const path = `/v1/files/${digest}`
  const put = async (from: number, to: number): Promise<string> => {
    const headers = { 'content-type': OFD, 'content-range': `bytes ${from}-${to - 1}/${file.length}` }
    return told(await client.request('PUT', path, { body: Uint8Array.from(file.subarray(from, to)), headers }))
  }
  play(scenario, AUTHORITY, '文件六成 60 % of it', '202', await put(0, Math.floor(file.length * 0.6)))
  const asked = await client.request('HEAD', path)
  const offset = Number(asked.headers.get('upload-offset'))
  play(scenario, AUTHORITY, '续传 the rest', '201', await put(offset, file.length))
  const other = `/v1/files/${digestOf(Buffer.from(digest))}`
  const refused = await client.request('PUT', other, { body: Uint8Array.from(file), headers: { 'content-type': OFD } })
  play(scenario, AUTHORITY, '摘要不符 digest', '422 file.digest_wrong', await told(refused))
}

/** A new version of the licence whose annotated copy is this file. */
async function nameIt(scenario: Scenario, file: Buffer, digest: string): Promise<void> {
  const message = renumber(scenario, 'business-licence@1', seeded(scenario.seeds.licences, COMPANY))
  const now = Date.now()
  const expiresAt = new Date(now + HOUR_MS).toISOString()
  const named = { digest, bytes: file.length, mediaType: OFD, copyExpiresAt: expiresAt }
  const copy = {
    createdAt: new Date(now).toISOString(),
    creator: '市场监管局',
    cause: '用电报装',
    expiresAt,
    file: named,
  }
  const data = { ...message.data, statusTime: new Date(now - 1_000).toISOString(), copy } as JsonObject
  await pushAccepted(scenario, AUTHORITY, { ...message, data }, '执照加注件 copy')
}

/** The query gives its asker the right: before it, and to anybody else, there is no such file. */
async function fetchIt(scenario: Scenario, file: Buffer, digest: string): Promise<void> {
  const utility = await scenario.client(UTILITY)
  const path = `/v1/files/${digest}`
  const fetched = async (party: string): Promise<string> => {
    const response = await (await scenario.client(party)).request('GET', path)
    if (response.status !== 200) return told(response)
    const same = digestOf(new Uint8Array(await response.arrayBuffer())) === digest
    return `200, ${same ? 'same' : 'others'}, seal ${response.headers.get('dianqiao-seal')?.slice(0, 12)}`
  }
  play(scenario, UTILITY, '下载 fetch', '404 file.not_found', await fetched(UTILITY))
  const caseNo = `ME2026090700021-${scenario.run}`
  const answer = await eventually(
    () =>
      utility.ask({
        contract: 'business-licence-query@1',
        sub: COMPANY,
        caseNo,
        fields: ['certificateNumber', 'copy'],
      }),
    ({ status }) => status === 200,
  )
  const documents = (answer.claims?.['documents'] ?? []) as unknown as { data: { copy?: { file?: JsonObject } } }[]
  const named = documents[0]?.data.copy?.file
  scenario.stage.play({
    from: UTILITY,
    to: 'dianqiao',
    sent: '查询 query',
    expected: `200, names ${file.length} bytes`,
    got: `${answer.status}, names ${named?.['digest'] === digest ? String(named['bytes']) : 'no'} bytes`,
    verified: answer.verified,
  })
  play(scenario, UTILITY, '下载 fetch', '200, same, seal not verified', await fetched(UTILITY))
  play(scenario, 'inner-mongolia-power', '他人下载 fetch', '404 file.not_found', await fetched('inner-mongolia-power'))
}

/** Status code and error code of an answer. */
async function told(response: Response): Promise<string> {
  const { code } = (await response.json()) as { readonly code?: string }
  return code === undefined ? String(response.status) : `${response.status} ${code}`
}

const play = (scenario: Scenario, from: string, sent: string, expected: string, got: string): void =>
  scenario.stage.play({ from, to: 'dianqiao', sent, expected, got })
