import { join } from 'node:path'

const PRISMA_DIR = join(import.meta.dirname, '..', '..', 'prisma')

/** Where this version's own migrations are. */
export const MIGRATIONS_DIR = join(PRISMA_DIR, 'migrations')
export const SCHEMA_PATH = join(PRISMA_DIR, 'schema.prisma')
