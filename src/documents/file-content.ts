import type { MediaType } from '#contracts/contract.ts'

/** How files of a media type begin. An OFD is a zip, whatever it holds: its directory is looked at besides. */
const BEGINNINGS: Readonly<Record<MediaType, Buffer>> = {
  'application/ofd': Buffer.from('PK\u0003\u0004', 'latin1'),
  'application/pdf': Buffer.from('%PDF-', 'latin1'),
  'image/png': Buffer.from('\u0089PNG\r\n\u001a\n', 'latin1'),
  'image/jpeg': Buffer.from('\u00ff\u00d8\u00ff', 'latin1'),
  'image/vnd.dwg': Buffer.from('AC10', 'latin1'),
}

export const isMediaType = (text: string): text is MediaType => Object.hasOwn(BEGINNINGS, text)

/** Extension of a file of that type, for whoever saves it. */
export const EXTENSIONS: Readonly<Record<MediaType, string>> = {
  'application/ofd': 'ofd',
  'application/pdf': 'pdf',
  'image/png': 'png',
  'image/jpeg': 'jpg',
  'image/vnd.dwg': 'dwg',
}

/** Whether the first bytes of a file are those of its media type. */
export function beginsAs(mediaType: MediaType, head: Buffer): boolean {
  const beginning = BEGINNINGS[mediaType]
  return head.subarray(0, beginning.length).equals(beginning)
}

/** Reads bytes `from` (inclusive) to `to` (exclusive) of a file. */
export type ReadBytes = (from: number, to: number) => Promise<Buffer>

const END_BYTES = 22
const MAX_COMMENT = 65_535
const END_SIGNATURE = 0x06_05_4b_50
const ENTRY_SIGNATURE = 0x02_01_4b_50
const ENTRY_BYTES = 46
/** An OFD has some dozens of parts; a larger directory is not read. */
const MAX_DIRECTORY = 1_048_576
const ROOT_PART = 'OFD.xml'

/**
 * Whether a zip (PKWARE APPNOTE 6.3) is an OFD (GB/T 33190-2016 §7.1): its directory lists `OFD.xml` at the root. Only
 * names are read, at most 1 MiB of them; nothing is unpacked. Zip64 is not an OFD: no file here is that large.
 */
export async function isOfd(bytes: number, read: ReadBytes): Promise<boolean> {
  const tailFrom = Math.max(0, bytes - END_BYTES - MAX_COMMENT)
  const tail = await read(tailFrom, bytes)
  const end = endRecord(tail)
  if (end === undefined) return false
  const size = tail.readUInt32LE(end + 12)
  const from = tail.readUInt32LE(end + 16)
  if (size > MAX_DIRECTORY || from + size > tailFrom + end) return false
  return listsRootPart(await read(from, from + size))
}

/** The last end record whose comment reaches exactly to the end of the file. */
function endRecord(tail: Buffer): number | undefined {
  for (let at = tail.length - END_BYTES; at >= 0; at--) {
    if (tail.readUInt32LE(at) === END_SIGNATURE && at + END_BYTES + tail.readUInt16LE(at + 20) === tail.length)
      return at
  }
  return undefined
}

function listsRootPart(directory: Buffer): boolean {
  let at = 0
  while (at + ENTRY_BYTES <= directory.length && directory.readUInt32LE(at) === ENTRY_SIGNATURE) {
    const nameEnd = at + ENTRY_BYTES + directory.readUInt16LE(at + 28)
    if (directory.toString('latin1', at + ENTRY_BYTES, nameEnd) === ROOT_PART) return true
    at = nameEnd + directory.readUInt16LE(at + 30) + directory.readUInt16LE(at + 32)
  }
  return false
}
