#!/usr/bin/env node
import { enableCompileCache } from 'node:module'
import { join } from 'node:path'

// The next start finds the code compiled; where the folder cannot be written, each start compiles as before.
enableCompileCache(join(import.meta.dirname, '../node_modules/.cache/compile'))
const { runCli } = await import('#cli/program.ts')

const code = await runCli(process.argv)
// What went wrong on the way out counts.
process.exitCode ||= code
