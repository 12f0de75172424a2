import type { Config } from './config.ts'
import { declaredStatements } from './lib/sql.ts'
import { applyMigrations } from './migrations/apply.ts'
import { MIGRATIONS_DIR, SCHEMA_PATH } from './migrations/directory.ts'
import './services.ts' // loads whatever declares a statement

/** Brings a database to this version: tables, the statements' functions, the rights of the service's roles. As the owner of the tables. */
export async function migrateDatabase(
  config: Pick<Config, 'DATABASE_MIGRATION_URL' | 'DATABASE_URL' | 'DATABASE_MINT_URL'>,
  log: (message: string, fields: { migrations: string[] }) => void,
): Promise<void> {
  await applyMigrations({
    connectionString: config.DATABASE_MIGRATION_URL,
    schemaPath: SCHEMA_PATH,
    migrationsDir: MIGRATIONS_DIR,
    log,
    access: {
      urls: { main: config.DATABASE_URL, mint: config.DATABASE_MINT_URL },
      statements: declaredStatements(),
    },
  })
}
