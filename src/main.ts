#!/usr/bin/env node
import { runCli } from '#cli/program.ts'

const code = await runCli(process.argv)
// What went wrong on the way out counts.
process.exitCode ||= code
