import { parseConfig } from '../config.ts'
import { applyMigrations } from '../migrations/apply.ts'
import { MIGRATIONS_DIR, SCHEMA_PATH } from '../migrations/directory.ts'

/** Applies pending migrations as the owner of the tables. @throws ConfigError */
export async function migrate(env: Record<string, string | undefined>, say: (line: string) => void): Promise<void> {
  await applyMigrations({
    connectionString: parseConfig(env).DATABASE_MIGRATION_URL,
    schemaPath: SCHEMA_PATH,
    migrationsDir: MIGRATIONS_DIR,
    log: (message, { migrations }) => say([message, ...migrations].join(migrations.length > 0 ? ' ' : '')),
  })
}
