import { mkdtempSync, readFileSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as delay } from 'node:timers/promises'
import { type EmbeddedPostgres, startEmbeddedPostgres } from '../../scripts/embedded-postgres.ts'
import { migrateDatabase } from '../../src/migrate.ts'

export interface OwnPostgres {
  /** The service's database, migrated. The address stays the same over crashes. */
  url: string
  /** The same as the superuser. */
  adminUrl: string
  /** Stops the server as `pg_ctl stop -m immediate` does: no checkpoint, no goodbye; resolves once it is gone. */
  crash(): Promise<void>
  /** Starts it again; it recovers from its log. */
  restart(): Promise<void>
  /** Stops it for good and removes its files. */
  remove(): Promise<void>
}

/**
 * A Postgres that nobody else uses, so that it may be crashed. Durable, unlike the one of the tests: what it has confirmed
 * must survive, or the test would blame the service for what the server forgot.
 */
export async function startOwnPostgres(): Promise<OwnPostgres> {
  const folder = mkdtempSync(join(tmpdir(), 'latchkey-chaos-'))
  const dataDir = join(folder, 'cluster', 'postgres')
  let server: EmbeddedPostgres = await startEmbeddedPostgres({ dataDir })
  const { url } = server
  const adminUrl = Object.assign(new URL(server.adminUrl), { pathname: new URL(url).pathname }).href
  await migrateDatabase({ DATABASE_MIGRATION_URL: url, DATABASE_URL: url, DATABASE_MINT_URL: url }, () => {})
  return {
    url,
    adminUrl,
    async crash() {
      const pid = Number(readFileSync(join(dataDir, 'postmaster.pid'), 'utf8').split('\n')[0])
      process.kill(pid, 'SIGQUIT')
      while (isAlive(pid)) await delay(10)
      await server.stop() // only forgets it: there is nothing left to stop
    },
    async restart() {
      server = await startEmbeddedPostgres({ dataDir, port: Number(new URL(url).port) })
    },
    async remove() {
      await server.stop()
      rmSync(folder, { recursive: true, force: true })
    },
  }
}

function isAlive(pid: number): boolean {
  try {
    return process.kill(pid, 0)
  } catch {
    return false
  }
}
