import { appendFileSync, existsSync, readFileSync } from 'node:fs'

/** One thing that the peer did. Bodies are not kept: their digest tells whether they arrived unharmed. */
export interface Effect {
  readonly n: number
  readonly effectKey: string
  readonly path: string
  readonly reference: string
  readonly bodyDigest: string
  readonly receiptNo: string
  readonly at: string
}

export interface EffectBook {
  readonly find: (effectKey: string) => Effect | undefined
  readonly add: (effect: Omit<Effect, 'n' | 'receiptNo'>) => Effect
  readonly all: () => readonly Effect[]
}

/**
 * The peer's own book. With a file, every effect is a line appended before the answer leaves, and a restarted peer
 * knows what it did: an outside checker can read it across any kill.
 */
export function openEffectBook(prefix: string, historyFile: string | undefined): EffectBook {
  const effects = historyFile === undefined ? [] : readHistory(historyFile)
  const byKey = new Map(effects.map((effect) => [effect.effectKey, effect]))
  return {
    find: (effectKey) => byKey.get(effectKey),
    add: (fields) => {
      const n = effects.length + 1
      const effect = { n, ...fields, receiptNo: `${prefix}${String(n).padStart(7, '0')}` }
      if (historyFile !== undefined) appendFileSync(historyFile, `${JSON.stringify(effect)}\n`)
      effects.push(effect)
      byKey.set(effect.effectKey, effect)
      return effect
    },
    all: () => effects,
  }
}

function readHistory(file: string): Effect[] {
  if (!existsSync(file)) return []
  const lines = readFileSync(file, 'utf8').split('\n')
  return lines.filter((line) => line !== '').map((line) => JSON.parse(line) as Effect)
}
