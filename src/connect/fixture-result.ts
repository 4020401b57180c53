import type { JsonObject } from '#kernel/json.ts'

export interface FixtureResult {
  readonly file: string
  readonly title: string
  readonly contract: string
  readonly data: JsonObject
  /** Empty when the fixture passes. */
  readonly problems: readonly string[]
}
