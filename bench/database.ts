import { randomBytes } from 'node:crypto'
import { readFileSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import { Client } from 'pg'
import { startEmbeddedPostgres } from '../scripts/embedded-postgres.ts'

// "execute mint_open_1a2b: WITH …", "execute <unnamed>: …" or "statement: BEGIN"; further lines of a statement start with a tab
const STATEMENT = /LOG: {2}(?:execute ([^:]+): |statement: (\w+))/

/**
 * A Postgres of the bench's own, empty, removed at the end. Without fsync: its disk is not what is measured, and in production it is
 * another machine's.
 */
export async function startDatabase() {
  const dataDir = join(tmpdir(), `latchkey-bench-${randomBytes(6).toString('hex')}`, 'postgres')
  const postgres = await startEmbeddedPostgres({ dataDir, durable: false })
  const logFile = `${dataDir}.log`

  async function asSuperuser(text: string, database = 'postgres'): Promise<void> {
    const url = new URL(postgres.adminUrl)
    url.pathname = database
    const client = new Client({ connectionString: url.href })
    await client.connect()
    await client.query(text)
    await client.end()
  }

  return {
    url: postgres.url,
    folder: dirname(dataDir),
    /** What autovacuum does by itself where a database runs for longer: until then Postgres plans for empty tables. */
    analyze: () => asSuperuser('ANALYZE', 'latchkey'),
    /** From now on new sessions of the service write each statement into the log. */
    logStatements: () => asSuperuser(`ALTER ROLE latchkey SET log_statement = 'all'`),
    logNoStatements: () => asSuperuser('ALTER ROLE latchkey RESET log_statement'),
    /** How often each statement ran, by the name that it was prepared under. */
    countStatements(): Map<string, number> {
      const counts = new Map<string, number>()
      for (const line of readFileSync(logFile, 'utf8').split('\n')) {
        const [, prepared, word] = STATEMENT.exec(line) ?? []
        const name = prepared?.replace(/_[0-9a-f]{12}$/, '') ?? word
        if (name) counts.set(name, (counts.get(name) ?? 0) + 1)
      }
      return counts
    },
    async stop(): Promise<void> {
      await postgres.stop()
      rmSync(dirname(dataDir), { recursive: true, force: true })
    },
  }
}

export type Database = Awaited<ReturnType<typeof startDatabase>>
