import { MIGRATIONS_DIR, SCHEMA_PATH } from '../../src/migrations/directory.ts'
import { withMigrationEngine } from '../../src/migrations/engine.ts'
import { startScratchPostgres } from '../scratch-postgres.ts'

/** SQL that is missing between the migrations and prisma/schema.prisma, found in a shadow database; empty if none. */
export async function missingMigration(): Promise<string> {
  const { adminUrl, stop } = await startScratchPostgres()
  try {
    const options = { connectionString: adminUrl, schemaPath: SCHEMA_PATH, migrationsDir: MIGRATIONS_DIR }
    return await withMigrationEngine(options, (engine) => engine.diffToSchema())
  } finally {
    await stop()
  }
}

/** @returns what is wrong, if anything */
export async function checkMigrations(): Promise<string> {
  const sql = await missingMigration()
  return sql && `The migrations do not lead to prisma/schema.prisma. "node scripts/make-migration.ts <name>":\n${sql}`
}
