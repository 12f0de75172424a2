import type { FastifyInstance } from 'fastify'
import { checkRoles } from './database-roles.ts'
import { AppError } from './errors.ts'
import { sleep } from './lib/deadline.ts'
import { declaredStatements } from './lib/sql.ts'
import type { Readiness } from './readiness.ts'
import type { Services } from './services.ts'
import { StartError } from './startup.ts'

/** Applies pending migrations where that is asked for; the engine is loaded only then. @throws StartError */
async function settleMigrations(app: FastifyInstance, readiness: Readiness): Promise<void> {
  const { pending, newer, incompatible, functions } = await readiness.migrations()
  if (incompatible.length > 0)
    throw new StartError(
      `The database was migrated by a newer version that this one cannot work with: ${incompatible.join(', ')}`,
    )
  if (newer.length > 0) app.log.info({ migrations: newer }, 'the database has migrations of a newer version')
  if (pending.length === 0 && functions.length === 0) return
  if (!app.config.MIGRATE_ON_START)
    throw new StartError(
      pending.length > 0
        ? `Migrations are pending: ${pending.join(', ')}. Run npm run db:migrate (latchkey migrate) first.`
        : `The database lacks functions of this version, or the role of DATABASE_URL may not call them, such as ${functions[0]}. Run npm run db:migrate (latchkey migrate) first.`,
    )
  const { migrateDatabase } = await import('./migrate.ts')
  await migrateDatabase(app.config, (message, fields) => app.log.info(fields, message))
  await readiness.migrations()
}

const TRIES = 5
const TRY_AGAIN_MS = 1000

/** A database that starts together with us gets a few seconds. @throws store_unavailable after them */
async function reached<T>(app: FastifyInstance, work: () => Promise<T>): Promise<T> {
  for (let tries = 1; ; tries++) {
    try {
      return await work()
    } catch (error) {
      const canWait = error instanceof AppError && error.code === 'store_unavailable' && tries < TRIES
      if (!canWait) throw error
      app.log.warn({ err: error }, 'the database does not answer yet')
      await sleep(TRY_AGAIN_MS)
    }
  }
}

/**
 * Everything between a well-formed environment and the first request: migrations, roles, keys, whose database this is, the
 * environment's Zoom app. @throws StartError naming what to do; store_unavailable
 */
export async function prepare({
  app,
  services,
  readiness,
}: {
  app: FastifyInstance
  services: Services
  readiness: Readiness
}): Promise<void> {
  await reached(app, () => settleMigrations(app, readiness))
  const { main, mint } = app.pools
  await checkRoles({
    pools: { DATABASE_URL: main, DATABASE_MINT_URL: mint },
    mintFunctions: declaredStatements().flatMap(({ name, mints }) => (mints ? [name] : [])),
    isProduction: app.config.isProduction,
    log: app.log,
  })
  await services.installation.check()
  await services.lineage.check()
  await services.zoomApps.ensureEnvironmentApp()
  if (app.config.PLAIN_CALLBACK_URLS && (await services.recallWorkspaces.findPlainConflicts()) > 0)
    throw new StartError(
      'PLAIN_CALLBACK_URLS=true: another tenant uses a Recall secret that also serves the tenant default; give it its own.',
    )
  if (services.installation.isForeign())
    app.log.error(
      'this database was first used by another installation: nothing is refreshed until latchkey grants adopt',
    )
  await app.ready()
}
