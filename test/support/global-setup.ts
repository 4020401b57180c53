import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import type { TestProject } from 'vitest/node'
import { type EmbeddedPostgres, startEmbeddedPostgres } from '#store/embedded.ts'
import { migrate } from '#store/migrate.ts'
import { onServer, urlOf } from './server.ts'

declare module 'vitest' {
  export interface ProvidedContext {
    /** The server and the migrated database to clone, or why there is none. */
    postgres: { readonly serverUrl: string; readonly template: string } | { readonly missing: string }
  }
}

interface TestServer {
  readonly url: string
  readonly end: () => Promise<void>
}

/**
 * One PostgreSQL for the whole run, with the migrated template that every test file clones. Where none can run, the
 * suites that need it are skipped by name, unless DIANQIAO_TEST_REQUIRE lists `postgres`.
 */
export async function setup(project: TestProject): Promise<() => Promise<void>> {
  const server = await startServer()
  if (server instanceof Error) {
    project.provide('postgres', { missing: server.message })
    return async () => undefined
  }
  const template = `dianqiao_template_${process.pid}`
  const teardown = async (): Promise<void> => {
    try {
      await dropDatabasesNamed(server.url, template)
    } finally {
      await server.end()
    }
  }
  try {
    await onServer(server.url, (client) => client.query(`CREATE DATABASE ${template}`))
    await migrate(urlOf(server.url, template))
  } catch (error) {
    await teardown()
    throw error
  }
  project.provide('postgres', { serverUrl: server.url, template })
  return teardown
}

/** The template and its clones; the latter still exist only where connections leaked. */
async function dropDatabasesNamed(serverUrl: string, prefix: string): Promise<void> {
  await onServer(serverUrl, async (client) => {
    const found = 'SELECT datname FROM pg_database WHERE starts_with(datname, $1)'
    const { rows } = await client.query<{ datname: string }>(found, [prefix])
    for (const { datname } of rows) await client.query(`DROP DATABASE ${datname} WITH (FORCE)`)
  })
}

async function startServer(): Promise<TestServer | Error> {
  const given = process.env['TEST_DATABASE_URL']
  if (given !== undefined && given !== '') return { url: given, end: async () => undefined }
  const dataDir = await mkdtemp(join(tmpdir(), 'dianqiao-test-'))
  try {
    const server = await start(dataDir)
    return {
      url: server.url,
      end: async () => {
        await server.stop()
        await rm(dataDir, { recursive: true, force: true })
      },
    }
  } catch (error) {
    await rm(dataDir, { recursive: true, force: true })
    const required = (process.env['DIANQIAO_TEST_REQUIRE'] ?? '').split(',').includes('postgres')
    if (required || !(error instanceof Error)) throw error
    return error
  }
}

const start = (dataDir: string): Promise<EmbeddedPostgres> =>
  startEmbeddedPostgres({ dataDir, fsync: false, settings: { max_connections: '200' } })
