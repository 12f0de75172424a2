import { parseConfig } from '../config.ts'
import { migrateDatabase } from '../migrate.ts'

/** Applies pending migrations as the owner of the tables. @throws ConfigError */
export async function migrate(env: Record<string, string | undefined>, say: (line: string) => void): Promise<void> {
  await migrateDatabase(parseConfig(env), (message, { migrations }) =>
    say([message, ...migrations].join(migrations.length > 0 ? ' ' : '')),
  )
}
