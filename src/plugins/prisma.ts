import { PrismaPg } from '@prisma/adapter-pg'
import fp from 'fastify-plugin'
import pg from 'pg'
import { PrismaClient } from '../generated/prisma/client.ts'
import { createSql, type MintSql, type Sql } from '../lib/sql.ts'

declare module 'fastify' {
  interface FastifyInstance {
    prisma: PrismaClient
    /** Statements of the API and the jobs, over all tenants. */
    sql: Sql
    /** Hot statements, each named in docs/performance.md, on the minting role's pool. */
    mintSql: MintSql
    /** Two connections of their own, of the minting role: a pool full of requests must not block the write of a rotated token. */
    reserveSql: MintSql
    /** `jobs`: the queue asks all the time, and must not stand in line before a request. */
    pools: Record<'main' | 'mint' | 'reserve' | 'jobs', pg.Pool>
  }
}

// Client-side bounds. Server-side ones belong to the role: a transaction pooler refuses them as start-up parameters.
const QUERY_TIMEOUT_MS = 5000
const CONNECT_TIMEOUT_MS = 3000 // a bot still gets its answer within its 5 s

function createPool(connectionString: string, max: number, onError: (error: Error) => void): pg.Pool {
  const pool = new pg.Pool({
    connectionString,
    max,
    connectionTimeoutMillis: CONNECT_TIMEOUT_MS,
    query_timeout: QUERY_TIMEOUT_MS,
    idleTimeoutMillis: 30_000,
    keepAlive: true,
    application_name: 'latchkey',
  })
  pool.on('error', onError) // an idle connection died; the pool makes a new one when it needs one
  return pool
}

/** One pool for Prisma, one for the minting path, two reserved connections, two for jobs; all closed with the app. */
export const prisma = fp(
  async (app) => {
    const { DATABASE_URL, DATABASE_MINT_URL, DATABASE_POOL_MAX } = app.config
    const onError = (error: Error) => app.log.warn({ err: error }, 'an idle database connection was lost')
    const main = createPool(DATABASE_URL, DATABASE_POOL_MAX, onError)
    const mint = DATABASE_MINT_URL === DATABASE_URL ? main : createPool(DATABASE_MINT_URL, DATABASE_POOL_MAX, onError)
    const reserve = createPool(DATABASE_MINT_URL, 2, onError)
    const jobs = createPool(DATABASE_URL, 2, onError)
    app.decorate('pools', { main, mint, reserve, jobs })
    app.decorate('prisma', new PrismaClient({ adapter: new PrismaPg(main) }))
    app.decorate('sql', createSql(main))
    app.decorate('mintSql', createSql(mint))
    app.decorate('reserveSql', createSql(reserve))
    app.addHook('onClose', async () => {
      await app.prisma.$disconnect()
      await Promise.all([...new Set([main, mint, reserve, jobs])].map((pool) => (pool.ended ? undefined : pool.end())))
    })
  },
  { name: 'prisma', dependencies: ['config'] },
)
