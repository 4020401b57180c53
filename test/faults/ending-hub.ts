import type { JWTPayload } from 'jose'
import { expect } from 'vitest'
import type { World } from './world.ts'

/**
 * Pushes what ends the hub at its fault point, and starts it again. The hub may end before the receipt has left:
 * whoever has none asks again, and gets the one that there is.
 */
export async function pushToTheEnd(
  { client, hub }: Pick<World, 'client' | 'hub'>,
  party: string,
  token: string,
): Promise<JWTPayload | undefined> {
  await (await client(party)).pushToken(token).catch(() => undefined)
  expect((await hub.ended()).signal).toBe('SIGKILL')
  await hub.start()
  const { status, claims } = await (await client(party)).pushToken(token)
  expect(status).toBe(200)
  return claims
}
