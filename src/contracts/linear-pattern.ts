/**
 * Whether a regular expression runs in linear time by construction: anchored at both ends, no look-around or
 * back-reference, at most one unbounded quantifier, and no quantified group (but for `?`) that holds a quantifier or
 * an alternative. Stricter than needed, which is the point: nobody has to argue.
 */
export function linearPattern(pattern: string): boolean {
  if (!pattern.startsWith('^') || !pattern.endsWith('$') || pattern.endsWith('\\$')) return false
  // Escapes and classes become one letter: what they match does not matter, only what repeats.
  const shape = pattern.replaceAll(/\\(?:u[0-9a-fA-F]{4}|[pP]\{[^}]*\}|.)/g, escaped).replaceAll(/\[\^?[^\]]*\]/g, 'a')
  if (shape.includes('!') || /\(\?(?!:)/.test(shape)) return false
  if ((shape.match(/[*+]|\{\d+,\}/g) ?? []).length > 1) return false
  return groupsAreSimple(shape)
}

/** `!` marks a back-reference, which no rewriting makes linear. */
const escaped = (sequence: string): string => (/^\\[1-9k]/.test(sequence) ? '!' : 'a')

function groupsAreSimple(shape: string): boolean {
  const open: boolean[] = []
  for (let i = 0; i < shape.length; i++) {
    const character = shape.charAt(i)
    if (character === '(') {
      open.push(false)
      if (shape.startsWith('(?:', i)) i += 2
    } else if (character === ')') {
      const complex = open.pop() ?? false
      const next = shape.charAt(i + 1)
      if (complex && ['*', '+', '{'].includes(next)) return false
      if (complex && open.length > 0) open[open.length - 1] = true
    } else if (['*', '+', '{', '|', '?'].includes(character) && open.length > 0) {
      open[open.length - 1] = true
    }
  }
  return true
}
