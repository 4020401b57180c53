import { cpSync, mkdirSync, readFileSync, symlinkSync, writeFileSync } from 'node:fs'
import path from 'node:path'
import { ROOT } from './message.ts'
import { temporaryDir } from './world.ts'

const CONTRACT = 'approval-result'
const CONNECTOR = 'inner-mongolia-power-marketing'

/** A copy of this program with more contracts and connectors in its folders, which is all that it takes. */
export function copyCheckout(more: { readonly contracts?: number; readonly connectors?: number }): {
  readonly root: string
  remove(): void
} {
  const directory = temporaryDir()
  const root = directory.path
  for (const name of ['src', 'schemas', 'contracts', 'connectors', 'seeds', 'package.json']) {
    cpSync(path.join(ROOT, name), path.join(root, name), { recursive: true })
  }
  symlinkSync(path.join(ROOT, 'node_modules'), path.join(root, 'node_modules'))
  for (let n = 1; n <= (more.contracts ?? 0); n++) addContract(root, `${CONTRACT}-${n}`)
  for (let n = 1; n <= (more.connectors ?? 0); n++) addConnector(root, `${CONNECTOR}-${n}`)
  return { root, remove: directory.remove }
}

function addContract(root: string, name: string): void {
  const schema = readFileSync(path.join(ROOT, `schemas/${CONTRACT}/1.0.0.json`), 'utf8')
  mkdirSync(path.join(root, 'schemas', name))
  writeFileSync(path.join(root, `schemas/${name}/1.0.0.json`), schema.replace(`${CONTRACT}/1.0.0`, `${name}/1.0.0`))
  const contract = readFileSync(path.join(ROOT, `contracts/${CONTRACT}.yaml`), 'utf8')
  const named = contract
    .replace(`name: ${CONTRACT}`, `name: ${name}`)
    .replace(`${CONTRACT}/1.0.0.json`, `${name}/1.0.0.json`)
  writeFileSync(path.join(root, `contracts/${name}.yaml`), named)
}

/** It consumes what goes to the same recipient, at the same endpoint, as a consumer of its own. */
function addConnector(root: string, id: string): void {
  const folder = path.join(root, 'connectors', id)
  cpSync(path.join(ROOT, 'connectors', CONNECTOR), folder, { recursive: true })
  const file = path.join(folder, 'connector.yaml')
  writeFileSync(file, readFileSync(file, 'utf8').replace(`id: ${CONNECTOR}`, `id: ${id}`))
}
