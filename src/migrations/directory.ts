import { readdir } from 'node:fs/promises'
import { fileURLToPath } from 'node:url'

/** This version's own migrations and schema, as they lie in the repository and in the image. */
export const MIGRATIONS_DIR = fileURLToPath(new URL('../../prisma/migrations', import.meta.url))
export const SCHEMA_PATH = fileURLToPath(new URL('../../prisma/schema.prisma', import.meta.url))

/** Names of the migrations in `migrationsDir`, oldest first: Prisma gives each a folder that starts with its time. */
export async function migrationNames(migrationsDir: string): Promise<string[]> {
  const entries = await readdir(migrationsDir, { withFileTypes: true })
  return entries
    .filter((entry) => entry.isDirectory())
    .map((entry) => entry.name)
    .sort()
}
