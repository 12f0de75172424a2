import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { chmod, mkdtemp, readFile, rm, stat, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { createInterface } from 'node:readline'
import { afterAll, beforeAll, expect, onTestFinished, test } from 'vitest'
import { startEmbeddedPostgres } from '../../scripts/embedded-postgres.ts'
import { ask } from '../helpers/database.ts'

let parent: string
let dataDir: string
const children = new Set<ChildProcess>()

// a folder that only its maker can enter, as mktemp makes them: the hard case when that is root
beforeAll(async () => {
  parent = await mkdtemp(join(tmpdir(), 'latchkey-embedded-'))
  await chmod(parent, 0o700)
  dataDir = join(parent, 'made', 'postgres')
})

afterAll(async () => {
  for (const child of children) child.kill('SIGKILL')
  const last = await startEmbeddedPostgres({ dataDir, durable: false })
  await last.stop()
  await rm(parent, { recursive: true })
})

/** Another process that uses the server until it is told to end, as a second `npm start` would. */
async function startUser(): Promise<{ child: ChildProcess; url: string; isOwner: boolean }> {
  const script = `
    import { startEmbeddedPostgres } from ${JSON.stringify(join(import.meta.dirname, '../../scripts/embedded-postgres.ts'))}
    const { url, isOwner } = await startEmbeddedPostgres({ dataDir: process.argv[1], durable: false })
    console.log(JSON.stringify({ url, isOwner }))
    setInterval(() => undefined, 60_000)`
  const child = spawn(process.execPath, ['--input-type=module', '-e', script, dataDir], {
    stdio: ['ignore', 'pipe', 'inherit'],
  })
  children.add(child)
  child.once('exit', () => children.delete(child))
  const [line] = await once(createInterface(child.stdout), 'line')
  return { child, ...JSON.parse(line) }
}

test('the service gets a role that is no superuser, owns its database, and works in UTC and UTF-8', async () => {
  const { url, stop } = await startEmbeddedPostgres({ dataDir, durable: false })
  onTestFinished(stop)
  const [row] = await ask(
    url,
    `SELECT current_user AS role, rolsuper AS "isSuperuser", pg_get_userbyid(datdba) AS owner,
            pg_encoding_to_char(encoding) AS encoding, current_setting('timezone') AS timezone
     FROM pg_roles, pg_database WHERE rolname = current_user AND datname = current_database()`,
  )
  const expected = { owner: 'latchkey', encoding: 'UTF8', timezone: 'UTC' }
  expect(row).toEqual({ role: 'latchkey', isSuperuser: false, ...expected })
})

test('the server listens on loopback only, and opens no socket in a folder that others can enter', async () => {
  const { adminUrl, stop } = await startEmbeddedPostgres({ dataDir, durable: false })
  onTestFinished(stop)
  const settings = `SELECT current_setting('listen_addresses') AS addresses, current_setting('unix_socket_directories') AS sockets`
  expect(await ask(adminUrl, settings)).toEqual([{ addresses: '127.0.0.1', sockets: '' }])
})

test('the passwords lie in a file that only its owner can read', async () => {
  const { stop } = await startEmbeddedPostgres({ dataDir, durable: false })
  await stop()
  expect((await stat(join(dataDir, 'latchkey.json'))).mode & 0o777).toBe(0o600)
})

test('data and address outlive a restart', async () => {
  const first = await startEmbeddedPostgres({ dataDir, durable: false })
  await ask(first.url, 'CREATE TABLE kept AS SELECT 1 AS n')
  await first.stop()
  const second = await startEmbeddedPostgres({ dataDir, durable: false })
  onTestFinished(second.stop)
  expect(second.url).toBe(first.url)
  expect(await ask(second.url, 'SELECT n FROM kept')).toEqual([{ n: 1 }])
})

test('processes that start together share one server, which lives until the last has left', async () => {
  const users = await Promise.all([startUser(), startUser()])
  expect(new Set(users.map(({ url }) => url)).size).toBe(1)
  expect(users.filter(({ isOwner }) => isOwner)).toHaveLength(1)
  const [owner, guest] = users.toSorted((a, b) => Number(b.isOwner) - Number(a.isOwner))
  owner?.child.kill('SIGTERM')
  await once(owner?.child as ChildProcess, 'exit')
  expect(await ask(guest?.url ?? '', 'SELECT 1 AS n')).toEqual([{ n: 1 }])
  guest?.child.kill('SIGINT')
  await once(guest?.child as ChildProcess, 'exit')
  await expect(ask(guest?.url ?? '', 'SELECT 1')).rejects.toThrow('ECONNREFUSED')
})

test('a server left by kill -9 is joined by the next start and stopped with it', async () => {
  const { child, url } = await startUser()
  child.kill('SIGKILL')
  await once(child, 'exit')
  const next = await startEmbeddedPostgres({ dataDir, durable: false })
  expect([next.url, next.isOwner]).toEqual([url, false])
  await next.stop()
  await expect(ask(url, 'SELECT 1')).rejects.toThrow('ECONNREFUSED')
})

test('a pid file whose number now belongs to another process does not keep the server from starting', async () => {
  const first = await startEmbeddedPostgres({ dataDir, durable: false })
  const file = await readFile(join(dataDir, 'postmaster.pid'), 'utf8')
  await first.stop()
  await writeFile(join(dataDir, 'postmaster.pid'), file.replace(/^\d+/, String(process.pid)), { mode: 0o600 })
  const second = await startEmbeddedPostgres({ dataDir, durable: false })
  onTestFinished(second.stop)
  expect(second.isOwner).toBe(true)
})

test('a pid file that another process has made and not written yet is no reason to make the cluster anew', async () => {
  const first = await startEmbeddedPostgres({ dataDir, durable: false })
  await ask(first.url, 'CREATE TABLE spared AS SELECT 1 AS n')
  await first.stop()
  const pidFile = join(dataDir, 'postmaster.pid')
  await writeFile(pidFile, '')
  const second = startEmbeddedPostgres({ dataDir, durable: false })
  const refused = async () => (await readFile(`${dataDir}.log`, 'utf8')).includes('"postmaster.pid" is empty')
  await expect.poll(refused, { timeout: 10_000 }).toBe(true)
  await rm(pidFile) // as the other one does that gives up
  const { url, stop } = await second
  onTestFinished(stop)
  expect(await ask(url, 'SELECT n FROM spared')).toEqual([{ n: 1 }])
})
