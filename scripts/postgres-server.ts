import { randomBytes } from 'node:crypto'
import { once } from 'node:events'
import * as fs from 'node:fs'
import { createServer } from 'node:net'
import { dirname, join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { findPostgresBinaries, type PostgresBinaries } from './postgres-binaries.ts'

/** Kept in the data folder, mode 0600, so that it appears together with the cluster it belongs to. */
interface Secrets {
  superuser: string
  latchkey: string
  port?: number
}

/** One cluster on disk, and the process that may be serving it. */
export interface PostgresServer {
  dataDir: string
  logFile: string
  secrets(): Secrets
  /** Of the running server, by its own pid file. */
  port(): number | undefined
  isRunning(): boolean
  /** Starts the server. `false` when it could not, but the caller may look again and try again. */
  launch(options: { port?: number | undefined; log: (message: string) => void }): Promise<boolean>
  /** Ends all connections and stops the server cleanly. */
  shutDown(): Promise<void>
}

const UNSAFE_AND_FAST = ['fsync=off', 'synchronous_commit=off', 'full_page_writes=off']
const SETTINGS = [
  'listen_addresses=127.0.0.1',
  'unix_socket_directories=', // a socket in /tmp would be open to every user of the machine
  'max_connections=200',
  'timezone=UTC',
  'log_timezone=UTC',
]
const MAX_LOG_BYTES = 5_000_000
const EMPTY_PID_FILE_MS = 5000 // a server that starts writes it within milliseconds

/** Makes the cluster if there is none yet (about a second); starts nothing. */
export async function createPostgresServer(dataDir: string, durable: boolean): Promise<PostgresServer> {
  makeReachableFolder(dirname(dataDir))
  const binaries = await findPostgresBinaries(dataDir)
  await initialise(dataDir, binaries)
  const logFile = `${dataDir}.log`
  const cluster = { dataDir, logFile, durable, binaries }
  let isPortSuspect = false
  return {
    dataDir,
    logFile,
    secrets: () => readSecrets(dataDir),
    port: () => readPidFile(dataDir)?.port,
    isRunning: () => isRunning(dataDir),
    async launch({ port, log }) {
      removeStalePidFile(dataDir)
      const chosen = port ?? (await freePort(isPortSuspect ? undefined : readSecrets(dataDir).port))
      const complaint = await launch(cluster, chosen)
      if (complaint === undefined) {
        writeSecrets(dataDir, { ...readSecrets(dataDir), port: chosen }, binaries)
        return true
      }
      // another process was faster, or backends of a server that was killed are still ending
      const isTaken = /postmaster\.pid" already exists|pre-existing shared memory block/.test(complaint)
      if (isTaken || isPidFileBeingWritten(dataDir, complaint)) await sleep(50)
      else if (/could not bind|could not create any TCP/.test(complaint) && !port && !isPortSuspect)
        isPortSuspect = true
      else if (!durable && fs.existsSync(dataDir)) {
        log('making a new Postgres cluster: the old one, kept without fsync, does not start')
        fs.rmSync(dataDir, { recursive: true })
        await initialise(dataDir, binaries)
        cluster.durable = durable
      } else
        throw new Error(`Postgres did not start. To begin with an empty database, remove ${dataDir}.\n${complaint}`)
      return false
    },
    async shutDown() {
      const args = ['stop', '-D', dataDir, '-w', '-t', '30']
      const [code] = await once(binaries.spawn('pg_ctl', [...args, '-m', 'fast'], { stdio: 'ignore' }), 'exit')
      if (code !== 0 && isRunning(dataDir)) {
        await once(binaries.spawn('pg_ctl', [...args, '-m', 'immediate'], { stdio: 'ignore' }), 'exit')
      }
    },
  }
}

/** Postgres of root runs as another user, who must be able to pass through the folders we make. */
function makeReachableFolder(folder: string): void {
  const first = fs.mkdirSync(folder, { recursive: true })
  if (first === undefined) return
  for (let path = folder; path.length >= first.length; path = dirname(path)) fs.chmodSync(path, 0o755)
}

/** Made beside its place and renamed into it: of two processes that try, one wins and nobody sees half a cluster. */
async function initialise(dataDir: string, binaries: PostgresBinaries): Promise<void> {
  if (fs.existsSync(dataDir)) return
  const fresh = `${dataDir}.${process.pid}.new`
  const passwordFile = `${fresh}.password`
  const secrets = { superuser: newSecret(), latchkey: newSecret() }
  try {
    fs.mkdirSync(fresh, { mode: 0o700 })
    fs.writeFileSync(passwordFile, secrets.superuser, { mode: 0o600 })
    for (const path of [fresh, passwordFile]) binaries.chown(path)
    // Postgres's own C.UTF-8 needs no locale of the machine, and sorts alike everywhere
    const locale = ['--locale=C', '--locale-provider=builtin', '--builtin-locale=C.UTF-8', '--encoding=UTF8']
    const access = ['--auth=scram-sha-256', '--username=postgres', `--pwfile=${passwordFile}`]
    const args = [`--pgdata=${fresh}`, ...access, ...locale, '--no-sync', '--no-instructions']
    const child = binaries.spawn('initdb', args, { stdio: ['ignore', 'ignore', 'pipe'], env: plainEnvironment() })
    const output = child.stderr?.toArray()
    const [code] = await once(child, 'exit')
    if (code !== 0) throw new Error(`initdb failed.\n${(await output)?.join('')}`)
    writeSecrets(fresh, secrets, binaries)
    fs.renameSync(fresh, dataDir)
  } catch (error) {
    if (!fs.existsSync(dataDir)) throw error // else the other process was faster
  } finally {
    fs.rmSync(passwordFile, { force: true })
    fs.rmSync(fresh, { recursive: true, force: true })
  }
}

/** @returns nothing once the server is ready, else what it wrote before it ended */
async function launch(
  {
    dataDir,
    logFile,
    durable,
    binaries,
  }: { dataDir: string; logFile: string; durable: boolean; binaries: PostgresBinaries },
  port: number,
): Promise<string | undefined> {
  const settings = [...SETTINGS, ...(durable ? [] : UNSAFE_AND_FAST)].flatMap((setting) => ['-c', setting])
  if (logSize(logFile) > MAX_LOG_BYTES) fs.rmSync(logFile, { force: true })
  const logStart = logSize(logFile)
  const output = fs.openSync(logFile, 'a', 0o600)
  // a session of its own: the terminal's Ctrl-C must not stop the database before the service has finished
  const child = binaries.spawn('postgres', ['-D', dataDir, '-p', String(port), ...settings], {
    detached: true,
    stdio: ['ignore', output, output],
    env: plainEnvironment(),
  })
  fs.closeSync(output)
  let hasEnded = false
  const ended = () => {
    hasEnded = true
  }
  child.once('exit', ended).once('error', ended).unref()
  while (!hasEnded) {
    const file = readPidFile(dataDir)
    if (file?.pid === child.pid && file?.isReady) return undefined
    await sleep(10)
  }
  return fs.readFileSync(logFile, 'utf8').slice(logStart)
}

function logSize(logFile: string): number {
  return fs.statSync(logFile, { throwIfNoEntry: false })?.size ?? 0
}

/** Messages in English, and none of the variables by which libpq and Postgres can be steered. */
function plainEnvironment(): NodeJS.ProcessEnv {
  const own = Object.entries(process.env).filter(([name]) => !name.startsWith('PG') && !name.startsWith('LC_'))
  return { ...Object.fromEntries(own), LC_ALL: 'C' }
}

/** @see https://www.postgresql.org/docs/18/storage-file-layout.html postmaster.pid: pid first, port fourth, state last */
function readPidFile(dataDir: string): { pid: number; port: number; isReady: boolean } | undefined {
  try {
    const lines = fs.readFileSync(join(dataDir, 'postmaster.pid'), 'utf8').split('\n')
    return { pid: Number(lines[0]), port: Number(lines[3]), isReady: lines[7]?.trim() === 'ready' }
  } catch {
    return undefined
  }
}

function isRunning(dataDir: string): boolean {
  const pid = readPidFile(dataDir)?.pid
  if (!pid || !isAlive(pid)) return false
  let args: string[]
  try {
    // not /proc/<pid>/cwd: root in a container may not follow that of another user
    args = fs.readFileSync(`/proc/${pid}/cmdline`, 'utf8').split('\0')
  } catch {
    return isAlive(pid) // no /proc on this system, or none that we may read: believe the pid file
  }
  const folder = args[args.indexOf('-D') + 1]
  return args.includes('-D') && folder !== undefined && realPath(folder) === realPath(dataDir)
}

function realPath(path: string): string {
  try {
    return fs.realpathSync(path)
  } catch {
    return path
  }
}

function isAlive(pid: number): boolean {
  try {
    process.kill(pid, 0)
    return true
  } catch (error) {
    return error instanceof Error && 'code' in error && error.code === 'EPERM'
  }
}

/**
 * Between making its pid file and writing it a server looks like the remnant of a crash. Taken for one, its cluster would be
 * removed under it: only a file that stays empty is a remnant.
 */
function isPidFileBeingWritten(dataDir: string, complaint: string): boolean {
  if (!complaint.includes('lock file "postmaster.pid" is empty')) return false
  const file = fs.statSync(join(dataDir, 'postmaster.pid'), { throwIfNoEntry: false })
  return file === undefined || file.size > 0 || Date.now() - file.mtimeMs < EMPTY_PID_FILE_MS
}

/**
 * Postgres itself clears the pid file of a server that died, unless its number went to another process, as happens soon
 * in a container: it would take that one for the server.
 */
function removeStalePidFile(dataDir: string): void {
  const pid = readPidFile(dataDir)?.pid
  if (pid && isAlive(pid) && !isRunning(dataDir)) fs.rmSync(join(dataDir, 'postmaster.pid'), { force: true })
}

function readSecrets(dataDir: string): Secrets {
  const file = join(dataDir, 'latchkey.json')
  try {
    return JSON.parse(fs.readFileSync(file, 'utf8'))
  } catch (cause) {
    throw new Error(`Cannot read ${file}. If another user, such as root, made it, start as that user.`, { cause })
  }
}

function writeSecrets(dataDir: string, secrets: Secrets, binaries: PostgresBinaries): void {
  const file = join(dataDir, 'latchkey.json')
  fs.writeFileSync(file, JSON.stringify(secrets), { mode: 0o600 })
  binaries.chown(file)
}

/** 192 random bits in letters, digits, `-` and `_`. */
function newSecret(): string {
  return randomBytes(24).toString('base64url')
}

/** The wanted port of 127.0.0.1 if nobody listens there, else any free one. */
async function freePort(wanted: number | undefined): Promise<number> {
  const probe = createServer()
  try {
    probe.listen(wanted ?? 0, '127.0.0.1')
    await once(probe, 'listening')
    const address = probe.address()
    if (address === null || typeof address === 'string') throw new Error('No TCP port is free on 127.0.0.1')
    return address.port
  } catch (error) {
    if (wanted === undefined) throw error
    return freePort(undefined)
  } finally {
    probe.close()
  }
}
