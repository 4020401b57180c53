/** Display columns of a text: East Asian wide and full-width characters take two (UAX #11). */
function displayWidth(text: string): number {
  let width = 0
  for (const char of text) width += isWide(char.codePointAt(0) ?? 0) ? 2 : 1
  return width
}

function isWide(code: number): boolean {
  return (
    (code >= 0x1100 && code <= 0x115f) ||
    (code >= 0x2e80 && code <= 0xa4cf) ||
    (code >= 0xac00 && code <= 0xd7a3) ||
    (code >= 0xf900 && code <= 0xfaff) ||
    (code >= 0xfe30 && code <= 0xfe6f) ||
    (code >= 0xff00 && code <= 0xff60) ||
    (code >= 0xffe0 && code <= 0xffe6) ||
    (code >= 0x20000 && code <= 0x3fffd)
  )
}

/** Cut to `width` columns, the last one an ellipsis when something was cut, padded with spaces. */
export function pad(text: string, width: number): string {
  if (displayWidth(text) <= width) return text + ' '.repeat(width - displayWidth(text))
  let kept = ''
  for (const char of text) {
    if (displayWidth(kept + char) > width - 1) break
    kept += char
  }
  return `${kept}…${' '.repeat(width - 1 - displayWidth(kept))}`
}
