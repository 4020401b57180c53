import { expect, it } from 'vitest'
import { canonicalXml, parseXml, xmlToJson } from '#connect/xml.ts'
import { buildXml } from '#connect/xml-build.ts'
import type { Json, JsonObject } from '#kernel/json.ts'

const read = (text: string): Json | undefined => {
  const root = parseXml(text)
  return root === undefined ? undefined : xmlToJson(root)
}

it('text and attributes come back exactly as they went in', () => {
  const text = 'a<b>&"c\' ]]>\r\n\t 赤峰 𠀀 &amp; &lt;'
  const content = { '@note': text, value: text, empty: '', yes: true, n: 630 }
  expect(read(buildXml('r', content))).toEqual({ '@note': text, value: text, empty: '', yes: 'true', n: '630' })
})

it('members keep their order, a list repeats its element, null and an empty list leave nothing', () => {
  const xml = buildXml('r', { b: '1', a: ['x', { c: '2' }], none: null, list: [], '#text': 't' })
  expect(xml.split('\n')[1]).toBe('<r><b>1</b><a>x</a><a><c>2</c></a>t</r>')
})

it('what XML cannot say fails the mapping instead of being changed', () => {
  const impossible: JsonObject[] = [
    { a: 'nul \u0000' },
    { a: 'bell \u0007' },
    { a: 'half \ud800' },
    { a: '\ufffe' },
    { '1a': 'x' },
    { 'a b': 'x' },
    { 'a><b': 'x' },
    { '@a b': 'x' },
    { '@a': { b: 'x' } },
    { a: [['x']] },
  ]
  for (const content of impossible) expect(() => buildXml('r', content)).toThrow('mapping.failed')
})

it('a document type is refused, whatever it declares', () => {
  for (const text of [
    '<!DOCTYPE r><r/>',
    '<!DOCTYPE r [<!ENTITY x "y">]><r>&x;</r>',
    '<!DOCTYPE r SYSTEM "file:///etc/passwd"><r/>',
    '<!doctype html><html></html>',
  ]) {
    expect(parseXml(text)).toBeUndefined()
  }
})

it('the five entities and character references are read, any other is refused', () => {
  expect(read('<r>&lt;&gt;&amp;&quot;&apos;&#x4E2D;&#20013;</r>')).toBe('<>&"\'中中')
  expect(read('<r>&amp;lt;<![CDATA[&amp;]]></r>')).toBe('&lt;&amp;')
  for (const bad of ['&x;', '&nbsp;', '&#0;', '&#x110000;', '&#xD800;', '&amp', '&constructor;']) {
    expect([bad, parseXml(`<r>${bad}</r>`)]).toEqual([bad, undefined])
  }
})

it('what is not one well-formed document is refused', () => {
  for (const bad of [
    '',
    'text',
    '{"a":1}',
    '<r>',
    '<r><a></r>',
    '<r/><s/>',
    '<r a="1" a="2"/>',
    '<r a=1/>',
    '<p:r/>',
    '<r>\u0001</r>',
    '<r><__proto__/></r>',
  ]) {
    expect([bad, parseXml(bad)]).toEqual([bad, undefined])
  }
})

it('depth and length are capped', () => {
  const nested = (depth: number): string => '<a>'.repeat(depth) + '</a>'.repeat(depth)
  expect(parseXml(nested(20))).toBeDefined()
  expect(parseXml(nested(1_000))).toBeUndefined()
  expect(parseXml(`<r>${'x'.repeat(1_048_576)}</r>`)).toBeUndefined()
})

it('names are resolved by namespace, not by prefix', () => {
  const [one, other] = [
    '<p:a xmlns:p="urn:x" z="1" b="2"><p:c/></p:a>',
    '<a b="2" z="1" xmlns="urn:x">\n <c></c>\n</a>',
  ]
  expect(canonicalXml(one)).toBe(canonicalXml(other))
  expect(canonicalXml(one)).not.toBe(canonicalXml(one.replace('urn:x', 'urn:y')))
  expect(canonicalXml('<a xmlns="urn:x"><c xmlns=""/></a>')).not.toBe(canonicalXml('<a xmlns="urn:x"><c/></a>'))
})
