import { cpSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import path from 'node:path'
import { afterAll, beforeEach, describe, expect, test } from 'vitest'
import { CONNECTORS } from '#compose-lookups.ts'
import { testConnector } from '#connect/fixtures.ts'
import { connectorFolders } from '#connect/folders.ts'
import { loadLookUpManifest } from '#connect/lookup-manifest.ts'
import { loadManifest } from '#connect/manifest.ts'

const root = mkdtempSync(path.join(tmpdir(), 'dianqiao-lookup-folders-'))
const folder = path.join(root, 'licence-library')
afterAll(() => rmSync(root, { recursive: true, force: true }))

const change = (file: string, from: RegExp | string, to: string): void => {
  const text = readFileSync(path.join(folder, file), 'utf8')
  expect(text).toMatch(from)
  writeFileSync(path.join(folder, file), text.replace(from, to))
}

beforeEach(() => {
  rmSync(folder, { recursive: true, force: true })
  cpSync(path.join(CONNECTORS, 'licence-library'), folder, { recursive: true })
})

describe('the manifest of a look-up', () => {
  test.each([
    ['a cache of more than five minutes', /cacheSeconds: 300/, 'cacheSeconds: 301', '/cacheSeconds'],
    ['a request that may take longer than the whole', /timeoutMs: 2000/, 'timeoutMs: 3001', '/endpoint/timeoutMs'],
    [
      'a path that does not begin at the root',
      /path: \/licence\/get/,
      'path: licence/get',
      '/contracts/licence-library-query@1/steps/1/path',
    ],
    [
      'another method than POST',
      /name: search, /,
      'name: search, method: GET, ',
      '/contracts/licence-library-query@1/steps/0',
    ],
    ['an unknown key', /direction: lookup/, 'direction: lookup\nretry: 3', ''],
    [
      'a module in place of JSONata',
      /answer: licence.jsonata/,
      'answer: licence.ts',
      '/contracts/licence-library-query@1/answer',
    ],
  ])('with %s is refused where it stands', async (_, from, to, pointer) => {
    change('connector.yaml', from, to)
    await expect(loadLookUpManifest(folder)).rejects.toMatchObject({
      code: 'connector.invalid',
      violations: [{ pointer }],
    })
  })

  test('is told apart from that of a sink, which it is not', async () => {
    mkdirSync(path.join(root, 'broken'), { recursive: true })
    expect(await connectorFolders(root)).toEqual({ sinks: [path.join(root, 'broken')], lookUps: [folder] })
    await expect(loadManifest(folder)).rejects.toMatchObject({ code: 'connector.invalid' })
  })
})

describe('dianqiao connector test', () => {
  test('finds a mapping that makes another request, and an answer that is read otherwise', async () => {
    change('search.jsonata', '"holderCodeType": "001"', '"holderCodeType": "111"')
    change('connector.yaml', 'WITHDRAWN: "07"', 'WITHDRAWN: "04"')
    const results = await testConnector(folder)
    const problems = (file: string): string => String(results.find((one) => one.file === file)?.problems.join())
    expect(problems('none.json')).toMatch(/^\/licence\/search: expected .*"001".*, got .*"111"/)
    expect(problems('withdrawn.json')).toMatch(/expected .*"status":"07".*, got .*"status":"04"/)
  })

  test('finds a step that is not made, and one that nobody expects', async () => {
    change('fixtures/none.json', '"code": "1001"', '"code": "0"')
    change('fixtures/found.json', '"code": "0"', '"code": "1001"')
    const results = await testConnector(folder)
    const problems = (file: string): string => String(results.find((one) => one.file === file)?.problems.join())
    expect(problems('none.json')).toContain('/licence/get was not expected')
    expect(problems('found.json')).toContain('/licence/get was not asked')
  })

  test('refuses a folder with a contract without a fixture, a faulty fixture, or a mapping that does not compile', async () => {
    change(
      'connector.yaml',
      'contracts:\n',
      'contracts:\n  other-query@1:\n    steps: [{name: a, path: /a, mapping: get.jsonata}]\n    answer: licence.jsonata\n',
    )
    await expect(testConnector(folder)).rejects.toThrow('other-query@1')
    change('fixtures/none.json', '"title"', '"heading"')
    await expect(testConnector(folder)).rejects.toMatchObject({ code: 'connector.invalid' })
    change('get.jsonata', '{', '{{')
    await expect(testConnector(folder)).rejects.toMatchObject({ code: 'connector.invalid' })
  })
})
