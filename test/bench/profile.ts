import { readFileSync } from 'node:fs'

export type Kind = 'crypto' | 'validation' | 'store' | 'rest'

interface ProfileNode {
  readonly id: number
  readonly callFrame: { readonly functionName: string; readonly url: string }
  readonly children?: readonly number[]
}

interface Profile {
  readonly nodes: readonly ProfileNode[]
  readonly samples: readonly number[]
  readonly timeDeltas: readonly number[]
}

/** Which part of an acceptance a file does; what it calls counts with it. The first entry that fits decides. */
const KINDS: readonly (readonly [string, Kind])[] = [
  ['/src/trust/verify.ts', 'crypto'],
  ['/src/trust/sign.ts', 'crypto'],
  ['/src/trust/', 'validation'],
  ['/src/contracts/', 'validation'],
  ['/src/kernel/json.ts', 'validation'],
  ['/src/store/', 'store'],
  ['/node_modules/pg', 'store'],
]

/** Not the hub's work. */
const isAside = ({ functionName, url }: ProfileNode['callFrame']): boolean =>
  functionName === '(idle)' || functionName === '(program)' || url === 'node:inspector'

/** CPU time by part, as shares of a process's work, from a V8 CPU profile (times in µs). */
export function sharesOfProfile(file: string): Readonly<Record<Kind, number>> {
  const { nodes, samples, timeDeltas } = JSON.parse(readFileSync(file, 'utf8')) as Profile
  const kinds = kindsOf(nodes)
  const sums: Record<Kind, number> = { crypto: 0, validation: 0, store: 0, rest: 0 }
  for (const [index, id] of samples.entries()) {
    const kind = kinds.get(id)
    if (kind !== undefined) sums[kind] += timeDeltas[index] ?? 0
  }
  const total = sums.crypto + sums.validation + sums.store + sums.rest
  return {
    crypto: sums.crypto / total,
    validation: sums.validation / total,
    store: sums.store / total,
    rest: sums.rest / total,
  }
}

function kindsOf(nodes: readonly ProfileNode[]): Map<number, Kind> {
  const byId = new Map(nodes.map((node) => [node.id, node]))
  const kinds = new Map<number, Kind>()
  const [root] = nodes
  const open: { readonly node: ProfileNode; readonly inherited: Kind }[] = root
    ? [{ node: root, inherited: 'rest' }]
    : []
  for (let step = open.pop(); step !== undefined; step = open.pop()) {
    const { callFrame } = step.node
    const own = KINDS.find(([part]) => callFrame.url.includes(part))?.[1]
    // A caller decides first: what validation calls is validation.
    const kind = step.inherited === 'rest' ? (own ?? 'rest') : step.inherited
    if (!isAside(callFrame)) kinds.set(step.node.id, kind)
    for (const id of step.node.children ?? []) {
      const child = byId.get(id)
      if (child !== undefined) open.push({ node: child, inherited: kind })
    }
  }
  return kinds
}
