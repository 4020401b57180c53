import { readdir } from 'node:fs/promises'
import path from 'node:path'
import { readManifestFile } from './manifest.ts'

export interface ConnectorFolders {
  /** Deliver to a system. A folder whose manifest cannot be read is among them, so that its faults are told. */
  readonly sinks: readonly string[]
  /** Ask a system (`direction: lookup`). */
  readonly lookUps: readonly string[]
}

/** The folders in `root` are the list of connectors. */
export async function connectorFolders(root: string): Promise<ConnectorFolders> {
  const sinks: string[] = []
  const lookUps: string[] = []
  for (const entry of await readdir(root, { withFileTypes: true })) {
    if (!entry.isDirectory()) continue
    const directory = path.join(root, entry.name)
    if (await isLookUp(directory)) lookUps.push(directory)
    else sinks.push(directory)
  }
  return { sinks, lookUps }
}

export async function isLookUp(directory: string): Promise<boolean> {
  try {
    const { document } = await readManifestFile(directory)
    return (
      typeof document === 'object' && document !== null && 'direction' in document && document.direction === 'lookup'
    )
  } catch {
    return false
  }
}
