import { globSync, readFileSync } from 'node:fs'
import { join } from 'node:path'

export const root = join(import.meta.dirname, '../..')

/** The TypeScript files below the given top-level directories, as paths from the root with `/`. */
export const sourceFiles = (...directories: readonly string[]): readonly string[] =>
  globSync(
    directories.map((directory) => `${directory}/**/*.ts`),
    { cwd: root },
  ).sort()

export const textOf = (file: string): string => readFileSync(join(root, file), 'utf8')

/** What a file imports, statically or not. */
export const importsOf = (file: string): readonly string[] =>
  [...textOf(file).matchAll(/(?:\bfrom|\bimport)\s*\(?\s*'([^']+)'/g)].flatMap((match) => match[1] ?? [])
