import { defineConfig } from 'prisma/config'

// Only for people who prefer Prisma's own CLI; `npm run db:migrate` needs none of it.
export default defineConfig({
  schema: 'prisma/schema.prisma',
  migrations: { path: 'prisma/migrations' },
  datasource: { url: process.env.DATABASE_MIGRATION_URL ?? process.env.DATABASE_URL ?? '' },
})
