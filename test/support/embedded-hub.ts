import { startEmbeddedPostgres } from '#store/embedded.ts'

/**
 * A process that owns an embedded PostgreSQL, for tests that kill it: `node embedded-hub.ts <dataDir>`. Prints one
 * line of JSON, {url, pid, firstStart} or {code, message}; ends cleanly when its input closes.
 */
const [dataDir = ''] = process.argv.slice(2)
try {
  const server = await startEmbeddedPostgres({ dataDir })
  console.log(JSON.stringify({ url: server.url, pid: server.pid, firstStart: server.firstStart }))
  process.stdin.resume().once('end', () => void server.stop())
} catch (error) {
  const { code, message } = error as { code: string; message: string }
  console.log(JSON.stringify({ code, message }))
}
