import { globSync } from 'node:fs'
import { basename, join } from 'node:path'
import { load } from 'js-yaml'
import { describe, expect, test } from 'vitest'
import { createMetrics } from '#gateway/metrics.ts'
import { root, textOf } from './sources.ts'

const FOLDER = 'src/gateway/operations'

interface Rule {
  readonly alert: string
  readonly expr: string
  readonly labels: { readonly severity: string }
  readonly annotations: { readonly summary_zh: string; readonly summary_en: string; readonly runbook: string }
}

const { groups } = load(textOf(`${FOLDER}/alerts.yml`)) as { groups: { rules: Rule[] }[] }
const rules = groups.flatMap((group) => group.rules)

const unasked = () => Promise.reject(new Error('not asked for here'))
const described = createMetrics({
  backlog: unasked,
  files: unasked,
  disputes: unasked,
  queue: () => ({ rows: 0, bytes: 0 }),
  queueLimits: { rows: 1, bytes: 1 },
  notReady: unasked,
  clockOffsetMs: unasked,
  vaultSeconds: () => 0,
  busReaders: () => [],
  busLag: unasked,
  isContract: () => false,
}).describe()

/** Series by name: a histogram has three. `up` is Prometheus' own. */
const series = new Map<string, readonly string[]>([
  ['up', ['job', 'instance']],
  ...described.flatMap(({ name, type, labels }): [string, readonly string[]][] =>
    type === 'histogram'
      ? [
          [`${name}_bucket`, [...labels, 'le']],
          [`${name}_sum`, labels],
          [`${name}_count`, labels],
        ]
      : [[name, labels]],
  ),
])

/** Words of PromQL that are used here; any other word outside quotes and braces must be a series or a label in by(). */
const WORDS = /^(?:sum|max|min|abs|rate|increase|histogram_quantile|by|or|and|unless|[sm])$/

const selectorsOf = (expr: string): { name: string; labels: string[] }[] =>
  [...expr.matchAll(/([a-zA-Z_][a-zA-Z0-9_]*)\{([^}]*)\}/g)].map(([, name = '', inside = '']) => ({
    name,
    labels: [...inside.matchAll(/(\w+)\s*(?:=~|!~|!=|=)/g)].map(([, label = '']) => label),
  }))

function wordsOf(expr: string): string[] {
  const bare = expr.replace(/\{[^}]*\}/g, '').replace(/\bby\s*\([^)]*\)/g, '')
  return [...bare.matchAll(/[a-zA-Z_][a-zA-Z0-9_]*/g)].map(([word]) => word).filter((word) => !WORDS.test(word))
}

describe.each(rules)('alert $alert', ({ alert, expr, labels, annotations }) => {
  test('asks for metrics and labels that exist', () => {
    const names = wordsOf(expr)
    expect(names.length).toBeGreaterThan(0)
    expect(names.filter((name) => !series.has(name))).toEqual([])
    for (const { name, labels: asked } of selectorsOf(expr)) {
      expect(asked.filter((label) => series.get(name)?.includes(label) !== true)).toEqual([])
    }
    const grouped = [...expr.matchAll(/\bby\s*\(([^)]*)\)/g)].flatMap(([, list = '']) => list.split(/,\s*/))
    expect(grouped.filter((label) => !names.some((name) => series.get(name)?.includes(label)))).toEqual([])
  })

  test('says what is wrong in both languages, by labels that its expression leaves', () => {
    expect(['critical', 'warning']).toContain(labels.severity)
    expect(annotations.summary_zh).toMatch(/[\u4e00-\u9fff]/u)
    expect(annotations.summary_en).toMatch(/[A-Za-z]{3}/)
    const used = [annotations.summary_zh, annotations.summary_en].flatMap((text) =>
      [...text.matchAll(/\$labels\.(\w+)/g)].map(([, label = '']) => label),
    )
    const kept = /\b(?:sum|max)\b/.test(expr)
      ? [...expr.matchAll(/\bby\s*\(([^)]*)\)/g)].flatMap(([, list = '']) => list.split(/,\s*/))
      : [...wordsOf(expr).flatMap((name) => series.get(name) ?? []), 'instance', 'job']
    expect(used.filter((label) => !kept.includes(label))).toEqual([])
  })

  test('has a page that says in both languages what it means, how to look and what to do', () => {
    expect(annotations.runbook).toBe(`runbook/${alert}.md`)
    const page = textOf(`${FOLDER}/${annotations.runbook}`)
    const headings = [...page.matchAll(/^#+ .*$/gm)].map(([line]) => line)
    expect(headings).toEqual([
      `# ${alert}`,
      ...['## 中文', '### 含义', '### 查看', '### 处理'],
      ...['## English', '### What it means', '### How to look', '### What to do'],
    ])
    const [zh = '', en = ''] = page.split('## English')
    expect(zh).toMatch(/### 含义\n\n.*[\u4e00-\u9fff]{4}/u)
    expect(en).toMatch(/### What it means\n\n[A-Za-z]/)
    expect(en).not.toMatch(/[\u4e00-\u9fff]/u)
    for (const half of [zh, en]) expect(half.match(/^\d\. .+$/gm)?.length).toBeGreaterThan(0)
    const commands = (half: string): string | undefined => /```sh\n([\s\S]+?)```/.exec(half)?.[1]
    expect(commands(zh)?.trim()).toMatch(/\S/)
    expect(commands(en)).toBe(commands(zh))
  })
})

const pages = globSync(`${FOLDER}/runbook/*.md`, { cwd: root })

test('every page belongs to an alert, and alerts have names of their own', () => {
  const alerts = rules.map(({ alert }) => alert)
  expect(new Set(alerts).size).toBe(alerts.length)
  expect(pages.map((file) => basename(file, '.md')).toSorted()).toEqual(alerts.toSorted())
})

test('pages and the doctor point to pages that exist', () => {
  const known = new Set(pages.map((file) => basename(file)))
  const texts = [...pages, ...globSync('src/cli/doctor/*.ts', { cwd: root })].map(textOf)
  const pointed = texts.flatMap((text) => [...text.matchAll(/\bDianqiao[A-Za-z]+\.md\b/g)].map(([page]) => page))
  expect(pointed.length).toBeGreaterThan(pages.length)
  expect(pointed.filter((page) => !known.has(page))).toEqual([])
})

test('the commands of the pages are commands of the CLI, and what they look for exists', () => {
  const program = globSync('src/cli/program*.ts', { cwd: root }).map(textOf).join('\n')
  const commands = pages.flatMap((file) =>
    [...textOf(file).matchAll(/```sh\n([\s\S]+?)```/g)].map(([, block]) => block),
  )
  const ours = commands.flatMap((block) => [...(block ?? '').matchAll(/dianqiao -- ([a-z]+)(?: ([a-z]+)\b)?/g)])
  expect(ours.length).toBeGreaterThan(pages.length)
  for (const [, command, sub] of ours) {
    expect(program).toContain(`.command('${command}'`)
    if (sub !== undefined) expect(program).toMatch(new RegExp(`\\.command\\('${sub}[ ']`))
  }
  const names = described.map(({ name }) => name)
  const grepped = commands.flatMap((block) => [...(block ?? '').matchAll(/grep .*$/gm)].map(([line]) => line))
  for (const line of grepped) {
    for (const [prefix] of line.matchAll(/dianqiao_[a-z_]+/g)) {
      expect(
        names.some((name) => name.startsWith(prefix.replace(/_(?:sum|count)?$/, ''))),
        prefix,
      ).toBe(true)
    }
  }
})

test('the table of metrics holds every metric with its labels', () => {
  const table = textOf(join(FOLDER, 'README.md'))
  const rows = [...table.matchAll(/^\| `([a-z_]+)` +\| ([a-z]+) +\| (.*?) +\| (.*?) +\|$/gm)].map(
    ([, name, type, labels, help]) => ({ name, type, labels, help }),
  )
  const expected = described.map(({ name, type, labels, help }) => ({ name, type, labels: labels.join(', '), help }))
  const byName = (a: { name?: string | undefined }, b: { name?: string | undefined }): number =>
    (a.name ?? '').localeCompare(b.name ?? '')
  expect(rows.toSorted(byName)).toEqual(expected.toSorted(byName))
})
