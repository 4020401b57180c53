import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import type { JsonObject } from '#kernel/json.ts'
import type { MessageInput } from '#sandbox/party-client.ts'
import type { SentMessage } from './history.ts'

/** A platform, the utility of its place, and a division there (DOMAIN: 1504 is State Grid East's, 1501 is not). */
export interface Place {
  readonly sender: string
  readonly utility: string
  readonly division: string
}

export const CHIFENG: Place = { sender: 'platform-chifeng', utility: 'state-grid-east', division: '150402' }
export const HOHHOT: Place = { sender: 'platform-hohhot', utility: 'inner-mongolia-power', division: '150105' }

export interface Message extends SentMessage {
  readonly sender: string
  readonly input: MessageInput
}

const examples = join(import.meta.dirname, '../../schemas')
const readExample = (file: string): JsonObject => JSON.parse(readFileSync(join(examples, file), 'utf8')) as JsonObject

const APPLICATION = readExample('power-application/examples/valid/low-voltage-enterprise.json')
const RESULT = readExample('approval-result/examples/valid/approved.json')

/** What a peer's effect must show of a message: its business number and the remark that no two messages share. */
export const contentOf = (reference: string, remark: string): string => `${reference} ${remark}`

/** The messages of one case: the application that opens it, and any number of results of its affair. */
export function caseMessages(place: Place, name: string): { application: Message; result: (n: number) => Message } {
  const applicationNo = `APP-${name}`
  const affairNo = `AFF-${name}`
  const past = new Date(Date.now() - 3_600_000).toISOString()
  return {
    application: message(place, `${name}-application`, 'power-application@1', applicationNo, {
      ...APPLICATION,
      applicationNo,
      divisionCode: place.division,
      appliedAt: past,
      aliases: [
        { scheme: 'application-no', issuer: place.utility, number: applicationNo },
        { scheme: 'affair-no', issuer: place.sender, number: affairNo },
      ],
    }),
    result: (n) =>
      message(place, `${name}-result-${n}`, 'approval-result@1', affairNo, { ...RESULT, affairNo, finishedAt: past }),
  }
}

function message(place: Place, jti: string, contract: string, sub: string, data: JsonObject): Message {
  return {
    id: `${place.sender} ${jti}`,
    sender: place.sender,
    recipient: place.utility,
    orderKey: `${contract} ${sub}`,
    content: contentOf(sub, jti),
    input: { contract, sub, jti, data: { ...data, remarks: jti } },
  }
}
