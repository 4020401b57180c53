import { spawnSync } from 'node:child_process'
import { describe } from 'vitest'

/**
 * A suite that needs a program of this machine; where it is missing, the suite is skipped with the reason in its title,
 * unless DIANQIAO_TEST_REQUIRE lists `name`.
 */
export function withProgram(
  name: string,
  [command, ...args]: readonly [string, ...string[]],
  title: string,
  body: () => void,
): void {
  const found = spawnSync(command, args, { stdio: 'ignore' }).status === 0
  if (found) {
    describe(title, body)
    return
  }
  if ((process.env['DIANQIAO_TEST_REQUIRE'] ?? '').split(',').includes(name)) {
    throw new Error(`no ${name} for this run: ${command} does not run`)
  }
  describe.skip(`${title} (needs ${name}: ${command} does not run)`, body)
}
