/** Calls what must not end its caller by throwing: a listener, or a request to a client between two of its lives. */
export function quietly(call: () => void): void {
  try {
    call()
  } catch {
    // nobody is left to tell
  }
}
