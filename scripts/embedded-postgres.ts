import { realpathSync } from 'node:fs'
import { resolve } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { Client } from 'pg'
import { releaseAtExit } from './postgres-exit.ts'
import { createPostgresServer, type PostgresServer } from './postgres-server.ts'

export interface EmbeddedPostgresOptions {
  /** Where the cluster lives, made at first use. Its log is written beside it, with `.log` appended. */
  dataDir: string
  /** Default: the port of the last run if it is free, else a free one. */
  port?: number
  /** `false` trades safety against power loss for speed: for tests. A cluster that then fails to start is made anew. */
  durable?: boolean
  log?: (message: string) => void
}

export interface EmbeddedPostgres {
  /** Database `latchkey` as role `latchkey`, its owner, who is not a superuser. */
  url: string
  /** Database `postgres` as the superuser. */
  adminUrl: string
  /** Whether this process started the server, rather than finding it running. */
  isOwner: boolean
  /** Leaves the server; the last process to leave shuts it down. */
  stop(): Promise<void>
}

const DEADLINE_MS = 60_000 // a first start on a busy machine takes seconds; crash recovery may take longer

// Advisory locks in database `postgres`: every user of the server holds the first one shared as long as it lives, so
// whoever gets it exclusively is the last. The second lets one process at a time create role and database.
const IN_USE = 7_201
const SETTING_UP = 7_202

/**
 * Starts a Postgres of our own on loopback, or joins the one that another process runs on the same `dataDir`. It runs
 * in a session of its own, so Ctrl-C does not reach it, and SIGTERM or SIGINT only stop it here where this process has
 * no other listener for them: a service closes itself first and calls `stop` last. After `kill -9` it keeps running;
 * the next start on the same `dataDir` joins it and stops it when done. After a crash of Postgres itself it recovers.
 */
export async function startEmbeddedPostgres(options: EmbeddedPostgresOptions): Promise<EmbeddedPostgres> {
  const { durable = true, log = () => undefined } = options
  const dataDir = resolve(options.dataDir)
  const server = await createPostgresServer(dataDir, durable)
  const { keeper, isOwner } = await join(server, options.port, log)
  const password = await setUp(keeper, server)
  const address = `127.0.0.1:${server.port()}`
  const stop = releaseAtExit(dataDir, () => leave(keeper, server, log))
  return {
    url: `postgresql://latchkey:${password}@${address}/latchkey`,
    adminUrl: `postgresql://postgres:${server.secrets().superuser}@${address}/postgres`,
    isOwner,
    stop,
  }
}

async function join(server: PostgresServer, port: number | undefined, log: (message: string) => void) {
  const giveUpAt = Date.now() + DEADLINE_MS
  let isOwner = false
  while (Date.now() < giveUpAt) {
    const keeper = await connectKeeper(server)
    if (keeper) {
      log(isOwner ? `started Postgres on port ${server.port()}` : `using the Postgres on port ${server.port()}`)
      return { keeper, isOwner }
    }
    if (!server.isRunning()) isOwner = await server.launch({ port, log })
    else await sleep(50) // it is starting up, or shutting down
  }
  throw new Error(`Postgres did not answer within ${DEADLINE_MS / 1000} s. Its log: ${server.logFile}`)
}

/** A connection that marks the server as in use, or nothing where no server of ours answers. */
async function connectKeeper(server: PostgresServer): Promise<Client | undefined> {
  const port = server.port()
  if (port === undefined || !server.isRunning()) return undefined
  const password = server.secrets().superuser
  const keeper = new Client({ host: '127.0.0.1', port, user: 'postgres', password, database: 'postgres', ssl: false })
  keeper.on('error', () => undefined) // the server may be stopped from outside; the users' own pools will say so
  try {
    await keeper.connect()
    const { rows } = await keeper.query<{ dir: string }>(`SELECT current_setting('data_directory') AS dir`)
    if (realpathSync(rows[0]?.dir ?? '') !== realpathSync(server.dataDir)) throw new Error('another server')
    await keeper.query('SELECT pg_advisory_lock_shared($1)', [IN_USE])
    return keeper
  } catch {
    await keeper.end().catch(() => undefined)
    return undefined // not listening yet, shutting down, or somebody else's server on an old port
  }
}

async function setUp(keeper: Client, server: PostgresServer): Promise<string> {
  const password = server.secrets().latchkey
  await keeper.query('SELECT pg_advisory_lock($1)', [SETTING_UP])
  const found = await keeper.query<{ role: boolean; database: boolean }>(
    `SELECT EXISTS (SELECT FROM pg_roles WHERE rolname = 'latchkey') AS role,
            EXISTS (SELECT FROM pg_database WHERE datname = 'latchkey') AS database`,
  )
  // the password is made by the server's newSecret: no character that needs quoting
  if (!found.rows[0]?.role) await keeper.query(`CREATE ROLE latchkey LOGIN PASSWORD '${password}'`)
  if (!found.rows[0]?.database) await keeper.query('CREATE DATABASE latchkey OWNER latchkey')
  await keeper.query('SELECT pg_advisory_unlock($1)', [SETTING_UP])
  return password
}

async function leave(keeper: Client, server: PostgresServer, log: (message: string) => void): Promise<void> {
  const isLast = await keeper
    .query('SELECT pg_advisory_unlock_shared($1)', [IN_USE])
    .then(() => keeper.query<{ last: boolean }>('SELECT pg_try_advisory_lock($1) AS last', [IN_USE]))
    .then(({ rows }) => rows[0]?.last === true)
    .catch(() => false) // the connection is gone, so the server is too, or it is being stopped
  if (isLast) {
    await server.shutDown()
    log('stopped Postgres')
  }
  await keeper.end().catch(() => undefined)
}
