import { crc32 } from 'node:zlib'

/** One member of a zip, stored without compression. */
interface Part {
  readonly name: string
  readonly data: Buffer
}

/**
 * A synthetic licence copy: the smallest real OFD (GB/T 33190-2016), one A4 page with one line of text. `padding` adds a
 * part of so many bytes, for files of a wished size.
 */
export function licenceCopy(text: string, padding = 0): Buffer {
  const parts: Part[] = [
    xml(
      'OFD.xml',
      `<ofd:OFD ${XMLNS} DocType="OFD" Version="1.0"><ofd:DocBody><ofd:DocInfo><ofd:DocID>${'0'.repeat(32)}</ofd:DocID></ofd:DocInfo><ofd:DocRoot>Doc_0/Document.xml</ofd:DocRoot></ofd:DocBody></ofd:OFD>`,
    ),
    xml(
      'Doc_0/Document.xml',
      `<ofd:Document ${XMLNS}><ofd:CommonData><ofd:MaxUnitID>3</ofd:MaxUnitID><ofd:PageArea><ofd:PhysicalBox>0 0 210 297</ofd:PhysicalBox></ofd:PageArea></ofd:CommonData><ofd:Pages><ofd:Page ID="1" BaseLoc="Pages/Page_0/Content.xml"/></ofd:Pages></ofd:Document>`,
    ),
    xml(
      'Doc_0/Pages/Page_0/Content.xml',
      `<ofd:Page ${XMLNS}><ofd:Content><ofd:Layer ID="2"><ofd:TextObject ID="3" Boundary="20 20 170 10" Font="1" Size="5"><ofd:TextCode X="0" Y="5">${escaped(text)}</ofd:TextCode></ofd:TextObject></ofd:Layer></ofd:Content></ofd:Page>`,
    ),
    ...(padding === 0 ? [] : [{ name: 'Doc_0/Res/padding.bin', data: Buffer.alloc(padding, text) }]),
  ]
  return zip(parts)
}

const XMLNS = 'xmlns:ofd="http://www.ofdspec.org/2016"'

const xml = (name: string, body: string): Part => ({
  name,
  data: Buffer.from(`<?xml version="1.0" encoding="UTF-8"?>\n${body}\n`),
})

const escaped = (text: string): string => text.replaceAll('&', '&amp;').replaceAll('<', '&lt;').replaceAll('>', '&gt;')

/** A zip of stored members (PKWARE APPNOTE 6.3, §4.3.6). */
export function zip(parts: readonly Part[]): Buffer {
  const members: Buffer[] = []
  const directory: Buffer[] = []
  let offset = 0
  for (const { name, data } of parts) {
    const common = Buffer.alloc(26)
    common.writeUInt16LE(20, 0)
    common.writeUInt32LE(crc32(data), 10)
    common.writeUInt32LE(data.length, 14)
    common.writeUInt32LE(data.length, 18)
    common.writeUInt16LE(Buffer.byteLength(name), 22)
    const local = Buffer.concat([Buffer.from('PK\u0003\u0004', 'latin1'), common, Buffer.from(name), data])
    const rest = Buffer.alloc(14)
    rest.writeUInt32LE(offset, 10)
    // version made by, then what the member says of itself, then comment, disk, attributes and place
    directory.push(
      Buffer.concat([Buffer.from('PK\u0001\u0002\u0014\u0000', 'latin1'), common, rest, Buffer.from(name)]),
    )
    members.push(local)
    offset += local.length
  }
  const listed = Buffer.concat(directory)
  const end = Buffer.alloc(22)
  end.write('PK\u0005\u0006', 'latin1')
  end.writeUInt16LE(parts.length, 8)
  end.writeUInt16LE(parts.length, 10)
  end.writeUInt32LE(listed.length, 12)
  end.writeUInt32LE(offset, 16)
  return Buffer.concat([...members, listed, end])
}
