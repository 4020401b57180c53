import { randomUUID } from 'node:crypto'
import {
  closeSync,
  fstatSync,
  fsyncSync,
  linkSync,
  mkdirSync,
  openSync,
  readFileSync,
  renameSync,
  rmSync,
  writeFileSync,
} from 'node:fs'
import { dirname } from 'node:path'
import type { HubError } from '#kernel/errors.ts'

/** What is wrong with a file, as the error of whoever owns its format. */
type Fault = (file: string, zh: string, en: string, cause?: unknown) => HubError

/** The text of a file of keys that only its owner can read, or undefined when there is none. Throws `faulty`. */
export function readPrivateFile(file: string, faulty: Fault): string | undefined {
  let descriptor: number
  try {
    descriptor = openSync(file, 'r')
  } catch (cause) {
    if (isErrno(cause, 'ENOENT')) return undefined
    throw faulty(file, '文件无法打开', 'the file cannot be opened', cause)
  }
  try {
    const stat = fstatSync(descriptor)
    if (!stat.isFile()) throw faulty(file, '不是普通文件', 'it is not a regular file')
    // Windows has no such mode bits; there the directory's access list protects the file.
    if (process.platform !== 'win32' && (stat.mode & 0o077) !== 0) {
      throw faulty(
        file,
        `同组或其他用户可读写，请执行 chmod 600 ${file}`,
        `others have access to it; run chmod 600 ${file}`,
      )
    }
    return readFileSync(descriptor, 'utf8')
  } finally {
    closeSync(descriptor)
  }
}

/**
 * Writes new content beside the file and links it to its name: the name never shows half a file, and link fails when
 * another process was faster, whose file is then the one. (rename would replace it.) Gives the text that is in place.
 */
export function createPrivateFile(file: string, content: object, faulty: Fault): string {
  try {
    withDraft(file, content, (draft) => linkSync(draft, file))
  } catch (cause) {
    if (!isErrno(cause, 'EEXIST')) throw faulty(file, '文件无法创建', 'the file cannot be created', cause)
  }
  const text = readPrivateFile(file, faulty)
  if (text === undefined) throw faulty(file, '文件刚创建即消失', 'the file vanished as it was created')
  return text
}

/** Puts new content in the place of the old in one step: after a crash there is the one or the other. */
export function replacePrivateFile(file: string, content: object, faulty: Fault): void {
  try {
    withDraft(file, content, (draft) => renameSync(draft, file))
  } catch (cause) {
    throw faulty(file, '文件无法更新', 'the file cannot be replaced', cause)
  }
}

function withDraft(file: string, content: object, place: (draft: string) => void): void {
  const directory = dirname(file)
  const draft = `${file}.${randomUUID()}.draft`
  try {
    mkdirSync(directory, { recursive: true, mode: 0o700 })
    writeFileSync(draft, `${JSON.stringify(content, null, 2)}\n`, { mode: 0o600, flag: 'wx', flush: true })
    place(draft)
    syncDirectory(directory)
  } finally {
    rmSync(draft, { force: true })
  }
}

/** Makes the new name itself durable: what was made with a key must not outlive it. */
function syncDirectory(directory: string): void {
  if (process.platform === 'win32') return
  const descriptor = openSync(directory, 'r')
  try {
    fsyncSync(descriptor)
  } finally {
    closeSync(descriptor)
  }
}

const isErrno = (error: unknown, code: string): boolean =>
  error instanceof Error && 'code' in error && error.code === code
