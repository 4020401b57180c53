import { spawnSync } from 'node:child_process'
import path from 'node:path'
import { expect, test } from 'vitest'

const MAIN = path.join(import.meta.dirname, '../../src/main.ts')

/** Told on stderr: the packages that a process has loaded. */
const TELLS_PACKAGES = `
  import { registerHooks } from 'node:module'
  const packages = new Set()
  registerHooks({
    load(url, context, next) {
      const name = url.match(/node_modules\\/((?:@[^/]+\\/)?[^/]+)/)
      if (name !== null) packages.add(name[1])
      return next(url, context)
    },
  })
  process.on('exit', () => console.error(JSON.stringify([...packages].sort())))`

test('--help lists the commands without loading database, bus or contracts', () => {
  const first = `data:text/javascript,${encodeURIComponent(TELLS_PACKAGES)}`
  const { status, stdout, stderr } = spawnSync(process.execPath, ['--import', first, MAIN, '--help'], {
    encoding: 'utf8',
    env: { PATH: process.env['PATH'] },
  })
  expect(status, stderr).toBe(0)
  for (const command of ['start', 'demo', 'doctor', 'party', 'contract']) expect(stdout).toContain(command)
  expect(JSON.parse(stderr)).toEqual(['commander', 'js-yaml', 'picocolors', 'zod'])
})
