import { randomUUID } from 'node:crypto'
import { setTimeout as sleep } from 'node:timers/promises'
import type { JWTPayload } from 'jose'
import { expect, test } from 'vitest'
import type { JsonObject } from '#kernel/json.ts'
import type { MessageInput } from '#sandbox/party-client.ts'
import { application, licence, newNumber } from '../gateway/messages.ts'
import { withDatabase } from '../support/database.ts'
import type { Message } from '../support/hub.ts'
import { pushToTheEnd } from './ending-hub.ts'
import { openWorld } from './world.ts'

const UTILITY = 'state-grid-east'
const AUTHORITY = 'market-regulation-nmg'
const PLATFORM = 'platform-chifeng'
const COMPANY = '91150402MADEM002XN'

const inputOf = ({ contract, sub, data }: Message): MessageInput => ({ contract, sub, data })
const verdictIn = (claims: JWTPayload | undefined): unknown =>
  (claims?.['documents'] as readonly JsonObject[] | undefined)?.[0]?.['verdict']
const exchangeIn = (claims: JWTPayload | undefined): string => String(claims?.['exchange'])

withDatabase('a hub killed while data is disputed and corrected', () => {
  test('dispute and correction count once, whichever step was cut off', {
    timeout: 180_000,
  }, async (context) => {
    const world = await openWorld(context)
    await world.hub.start()
    const number = newNumber('ME')
    const identifier = String(licence(COMPANY).data['certificateIdentifier'])
    expect((await (await world.client(AUTHORITY)).push(inputOf(licence(COMPANY)))).status).toBe(202)
    expect(
      (await (await world.client(UTILITY)).push(inputOf(application(number, { applicant: COMPANY })))).status,
    ).toBe(202)
    const verdict = async (): Promise<unknown> => {
      const ask = { contract: 'business-licence-query@1', sub: COMPANY, caseNo: number }
      return verdictIn((await (await world.client(UTILITY)).ask(ask)).claims)
    }
    await expect.poll(verdict, { timeout: 10_000 }).toBe('valid')
    const restart = async (point?: string): Promise<void> => {
      await world.hub.start(point === undefined ? {} : { FAULT_POINT: point })
    }
    const document = { contract: 'business-licence@1', identifier }
    const disputeNo = newNumber('YY')
    const dispute = {
      contract: 'data-dispute@1',
      sub: disputeNo,
      data: {
        disputeNo,
        provider: AUTHORITY,
        document,
        fields: ['premises'],
        reason: '门牌号有误',
        raisedBy: 'SUBJECT',
        raisedAt: new Date().toISOString(),
      },
    }
    await world.hub.stop()
    await restart('accept.before-commit:1')
    const token = (await world.client(PLATFORM)).exchangeToken(dispute)
    await expect((await world.client(PLATFORM)).pushToken(token)).rejects.toThrow()
    expect((await world.hub.ended()).signal).toBe('SIGKILL')
    await restart()
    await world.hub.stop()
    await restart('disputes.before-commit:1')
    await pushToTheEnd(world, PLATFORM, token)
    await expect.poll(verdict, { timeout: 20_000 }).toBe('disputed')

    const jti = randomUUID()
    const statusTime = new Date().toISOString()
    const version = { ...inputOf(licence(COMPANY, { certificateVersion: '002', statusTime })), jti }
    expect((await (await world.client(AUTHORITY)).push(version)).status).toBe(202)
    await world.hub.stop()
    await restart('disputes.before-commit:1')
    const correctionNo = newNumber('GZ')
    const correction = {
      contract: 'data-correction@1',
      sub: correctionNo,
      data: {
        correctionNo,
        document,
        dispute: { issuer: PLATFORM, disputeNo },
        outcome: 'CORRECTED',
        fields: ['premises'],
        newVersion: { iss: AUTHORITY, jti },
        decidedAt: new Date().toISOString(),
      },
    }
    const receipt = await pushToTheEnd(world, AUTHORITY, (await world.client(AUTHORITY)).exchangeToken(correction))
    const told = () =>
      world.peers
        .get(UTILITY)
        ?.effects()
        .filter(({ reference }) => reference === `${exchangeIn(receipt)}:${UTILITY}`)
    await expect.poll(told, { timeout: 30_000 }).toHaveLength(1)
    await expect.poll(verdict, { timeout: 20_000 }).toBe('valid')
    // Long enough for a second notice to show.
    await sleep(1_000)
    expect(told()).toHaveLength(1)
  })
})
