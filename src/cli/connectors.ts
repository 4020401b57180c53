import path from 'node:path'
import { CONNECTORS } from '#compose-lookups.ts'
import { testConnector } from '#connect/fixtures.ts'
import { connectorFolders } from '#connect/folders.ts'
import { printJson, say } from './output.ts'

const NO = 3

/** Runs the fixtures of the given connector folders, or of all; one JSON line a fixture, exit code 3 when one fails. */
export async function testConnectors(folders: readonly string[]): Promise<number> {
  let failed = 0
  const { sinks, lookUps } = await connectorFolders(CONNECTORS)
  for (const folder of folders.length === 0 ? [...sinks, ...lookUps] : folders) {
    for (const { file, contract, problems } of await testConnector(path.resolve(folder))) {
      if (problems.length > 0) failed++
      printJson({ connector: path.basename(folder), file: path.basename(file), contract, problems })
    }
  }
  say(failed === 0 ? 'all fixtures pass' : `${failed} fixtures fail`)
  return failed === 0 ? 0 : NO
}
