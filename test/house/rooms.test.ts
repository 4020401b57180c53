import { execFile } from 'node:child_process'
import { copyFile, mkdir, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { dirname, join, normalize, relative } from 'node:path'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { importsOf, root, sourceFiles } from './sources.ts'

/** Importer, and what it may not import: every arrow that would go up or sideways (DESIGN §3). */
const FORBIDDEN: readonly (readonly [string, string])[] = [
  ['src/kernel', '#store/db.ts'],
  ['src/kernel', '#exchange/accept.ts'],
  ['src/kernel', 'pg'],
  ['src/kernel', 'node:fs'],
  ['src/kernel', '../store/db.ts'],
  ['src/store', '#trust/verify.ts'],
  ['src/store', '#exchange/accept.ts'],
  ['src/store', '../config.ts'],
  ['src/store', '../trust/verify.ts'],
  ['src/store/migrations', '../../config.ts'],
  ['src/contracts', '#trust/verify.ts'],
  ['src/trust', '#contracts/load.ts'],
  ['src/bus', '#delivery/relay.ts'],
  ['src/bus', '#ledger/tree.ts'],
  ['src/ledger', '#bus/bus.ts'],
  ['src/exchange', '#parties/register.ts'],
  ['src/exchange', '#documents/query.ts'],
  ['src/exchange', '#delivery/relay.ts'],
  ['src/exchange', '#cases/fold.ts'],
  ['src/documents', '#parties/register.ts'],
  ['src/documents', '#delivery/relay.ts'],
  ['src/documents', '#cases/fold.ts'],
  ['src/delivery', '#documents/query.ts'],
  ['src/delivery', '#parties/register.ts'],
  ['src/delivery', '#connect/sdk.ts'],
  ['src/parties', '#delivery/relay.ts'],
  ['src/parties', '#gateway/problem.ts'],
  ['src/parties', '../compose.ts'],
  ['src/cases', '#exchange/accept.ts'],
  ['src/cases', '#delivery/relay.ts'],
  ['src/gateway', '#connect/sdk.ts'],
  ['src/gateway/http', '#console/pages.ts'],
  ['src/gateway/http', '../kafka/door.ts'],
  ['src/gateway/kafka', '../http/app.ts'],
  ['src/console', '#gateway/problem.ts'],
  ['src/connect', '#sandbox/peer.ts'],
  ['src/kit', '#connect/sdk.ts'],
  ['src/sandbox', '#connect/sdk.ts'],
  ['src/sandbox', '#cli/demo.ts'],
  ['connectors/sink', '#connect/host.ts'],
  ['connectors/sink', '#kernel/errors.ts'],
  ['connectors/sink', '../../src/connect/sdk.ts'],
  ['connectors/sink', '../other/mapping.ts'],
]

const ALLOWED: readonly (readonly [string, string])[] = [
  ['src/kernel', './errors.ts'],
  ['src/kernel', 'node:crypto'],
  ['src/store', '#kernel/errors.ts'],
  ['src/store', 'pg'],
  ['src/store/migrations', '../db.ts'],
  ['src/trust', '#store/db.ts'],
  ['src/bus', '#kernel/clock.ts'],
  ['src/exchange', '#contracts/load.ts'],
  ['src/documents', '#exchange/accept.ts'],
  ['src/delivery', '#exchange/accept.ts'],
  ['src/parties', '#exchange/prove.ts'],
  ['src/cases', '#store/cursor.ts'],
  ['src/gateway', '#documents/query.ts'],
  ['src/gateway/http/routes', '../../problem.ts'],
  ['src/connect', '#delivery/inbox.ts'],
  ['src/sandbox', '#trust/sign.ts'],
  ['src/cli', '#gateway/http/app.ts'],
  ['src', '#connect/host.ts'],
  ['connectors/sink', '#connect/sdk.ts'],
  ['connectors/sink', './mapping.ts'],
]

interface Diagnostic {
  readonly category: string
  readonly message: unknown
  readonly location: { readonly path: string | { readonly file: string } }
}

let scratch = ''
let diagnostics: readonly Diagnostic[] = []

beforeAll(async () => {
  scratch = await mkdtemp(join(tmpdir(), 'rooms-'))
  await copyFile(join(root, '.biome.json'), join(scratch, '.biome.json'))
  const edges = [...FORBIDDEN, ...ALLOWED].map(([room, target], n) => [fileOf(room, n), imports(target)] as const)
  const others = [
    ['src/store/environment.ts', 'export const value = process.env.SECRET\n'],
    ['src/store/environment-import.ts', "import { env } from 'node:process'\n\nexport const value = env.SECRET\n"],
    ['src/config.ts', 'export const value = process.env.SECRET\n'],
    ['src/store/left.ts', "import { right } from './right.ts'\n\nexport const left = (): unknown => right\n"],
    ['src/store/right.ts', "import { left } from './left.ts'\n\nexport const right = (): unknown => left\n"],
  ] as const
  for (const [file, text] of [...edges, ...others]) {
    await mkdir(join(scratch, dirname(file)), { recursive: true })
    await writeFile(join(scratch, file), text)
  }
  diagnostics = await biome()
}, 30_000)

afterAll(() => rm(scratch, { recursive: true, force: true }))

const fileOf = (room: string, n: number): string => `${room}/edge${n}.ts`
const imports = (target: string): string => `import { thing } from '${target}'\n\nexport const used = [thing]\n`

function biome(): Promise<readonly Diagnostic[]> {
  const args = ['lint', '--reporter=json', '--max-diagnostics=500', '.']
  return new Promise((resolve, reject) => {
    execFile(join(root, 'node_modules/.bin/biome'), args, { cwd: scratch }, (_failed, stdout, stderr) => {
      try {
        resolve((JSON.parse(stdout) as { diagnostics: Diagnostic[] }).diagnostics)
      } catch (cause) {
        reject(new Error(`biome gave no report: ${stderr}`, { cause }))
      }
    })
  })
}

function reported(file: string, rule: string): readonly Diagnostic[] {
  return diagnostics.filter(({ category, location }) => {
    const path = typeof location.path === 'string' ? location.path : location.path.file
    return category.endsWith(`/${rule}`) && normalize(path) === file
  })
}

test.each(FORBIDDEN.map(([room, target], n) => ({ room, target, n })))(
  '$room may not import $target, and the refusal says why',
  ({ room, n }) => {
    const found = reported(fileOf(room, n), 'noRestrictedImports')
    expect(found).toHaveLength(1)
    expect(JSON.stringify(found[0])).toMatch(/because/)
  },
)

test.each(ALLOWED.map(([room, target], n) => ({ room, target, n: n + FORBIDDEN.length })))(
  '$room may import $target',
  ({ room, n }) => expect(reported(fileOf(room, n), 'noRestrictedImports')).toEqual([]),
)

test('only config.ts may read the environment', () => {
  expect(reported('src/store/environment.ts', 'noProcessEnv')).toHaveLength(1)
  expect(reported('src/store/environment-import.ts', 'noRestrictedImports')).toHaveLength(1)
  expect(reported('src/config.ts', 'noProcessEnv')).toEqual([])
})

test('a cycle between two files is an error', () => {
  expect(reported('src/store/left.ts', 'noImportCycles')).toHaveLength(1)
})

test('every room of src is covered by a rule of direction', async () => {
  const rules = await readFile(join(root, '.biome.json'), 'utf8')
  const rooms = new Set(sourceFiles('src').flatMap((file) => /^src\/([^/]+)\//.exec(file)?.[1] ?? []))
  // cli belongs to the top level, which may use every room
  rooms.delete('cli')
  expect([...rooms].filter((room) => !rules.includes(`"src/${room}/**"`))).toEqual([])
})

test('relative imports stay in their room', () => {
  const roomOf = (path: string): string => path.split('/').slice(0, 2).join('/')
  const leaving = sourceFiles('src')
    // main, compose, config and cli are one level and have no #name for each other
    .filter((file) => file.split('/').length > 2 && !file.startsWith('src/cli/'))
    .flatMap((file) =>
      importsOf(file)
        .filter((target) => target.startsWith('.'))
        .map((target) => ({ file, target: relative('.', join(dirname(file), target)) })),
    )
    .filter(({ file, target }) => roomOf(file) !== roomOf(target))
  expect(leaving).toEqual([])
})
