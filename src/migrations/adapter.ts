import { randomUUID } from 'node:crypto'
import { PrismaPg } from '@prisma/adapter-pg'
import { bindMigrationAwareSqlAdapterFactory, ColumnTypeEnum } from '@prisma/driver-adapter-utils'
import { type ClientBase, Pool, type QueryArrayConfig, type QueryArrayResult } from 'pg'

type Adapter = Awaited<ReturnType<PrismaPg['connect']>>

/**
 * Prisma's adapter for Postgres as the schema engine needs it: scripts go whole, one column type is added, and what it
 * opened is closed by us, newest first, because it would drop its shadow database while still connected to it.
 */
export function createAdapterFactory(connectionString: string) {
  const closers: (() => Promise<unknown>)[] = []
  function openPool(url: string): Pool {
    // a migration that writes rows writes everybody's; and its tables go into `public`, whatever schema is named like its role
    const onConnect = async (client: ClientBase) =>
      void (await client.query(`SET app.across_tenants = 'on'; SET search_path = public`))
    const pool = markInternalChars(new Pool({ connectionString: url, onConnect }))
    pool.on('error', () => undefined) // an idle connection that breaks is replaced
    closers.unshift(() => pool.end())
    return pool
  }
  const main = openPool(connectionString)
  class EnginePrismaPg extends PrismaPg {
    override async connect(): Promise<Adapter> {
      return readInternalChars(sendScriptsWhole(await super.connect()))
    }
    override async connectToShadowDb(): Promise<Adapter> {
      const url = new URL(connectionString)
      url.pathname = `/prisma_migrate_shadow_db_${randomUUID()}`
      await main.query(`CREATE DATABASE "${url.pathname.slice(1)}"`)
      closers.unshift(() => main.query(`DROP DATABASE "${url.pathname.slice(1)}"`))
      return new EnginePrismaPg(openPool(url.href)).connect()
    }
  }
  return {
    factory: bindMigrationAwareSqlAdapterFactory(new EnginePrismaPg(main)),
    closeAll: async () => {
      for (const close of closers) await close()
    },
  }
}

/**
 * Prisma's adapter cuts a script at every semicolon, those in function bodies, strings and comments too, and sends the
 * pieces over any connections of its pool. Sent whole, Postgres parses it and runs it as one transaction: a migration
 * that fails, or whose process dies, leaves nothing behind.
 * @see https://www.postgresql.org/docs/current/protocol-flow.html#PROTOCOL-FLOW-MULTI-STATEMENT
 */
function sendScriptsWhole(adapter: Adapter): Adapter {
  adapter.executeScript = async (sql) => {
    await adapter.executeRaw({ sql, args: [], argTypes: [] })
  }
  return adapter
}

// To compare schemas the engine reads Postgres's catalogue, which has columns of the internal type "char". The adapter
// refuses that type (seen with 7.10) and the engine takes it under no other name: so below the adapter such a column
// becomes text with a mark on its name, and above it the mark becomes the type that the engine expects.
const MARK = '\0char'
const OID = { internalChar: 18, text: 25 }

function markInternalChars(pool: Pool): Pool {
  const query = pool.query.bind(pool)
  return Object.assign(pool, {
    query: async (config: QueryArrayConfig) => {
      const result: QueryArrayResult = await query(config)
      for (const field of result.fields ?? []) {
        if (field.dataTypeID !== OID.internalChar) continue
        field.dataTypeID = OID.text
        field.name += MARK
      }
      return result
    },
  })
}

function readInternalChars(adapter: Adapter): Adapter {
  const queryRaw = adapter.queryRaw.bind(adapter)
  adapter.queryRaw = async (query) => {
    const { columnNames, columnTypes, rows } = await queryRaw(query)
    return {
      columnNames: columnNames.map((name) => name.replace(MARK, '')),
      columnTypes: columnTypes.map((type, i) => (columnNames[i]?.endsWith(MARK) ? ColumnTypeEnum.Character : type)),
      rows,
    }
  }
  return adapter
}
