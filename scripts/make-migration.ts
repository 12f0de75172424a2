// node scripts/run.mjs scripts/make-migration.ts <name>
// Writes the next migration: the SQL that leads from the present ones to prisma/schema.prisma. Read it, then commit it;
// a migration that older versions cannot work with adds: INSERT INTO schema_compatibility VALUES ('<its folder>', now());
import { mkdir, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { MIGRATIONS_DIR } from '../src/migrations/directory.ts'
import { missingMigration } from './checks/migrations.ts'

const [name = ''] = process.argv.slice(2)
if (/^[a-z][a-z0-9_]*$/.test(name)) await makeMigration(name)
else {
  console.error('Give the migration a name of small letters, digits and "_", such as add_host_email')
  process.exitCode = 1
}

async function makeMigration(name: string): Promise<void> {
  const sql = await missingMigration()
  if (sql === '') {
    console.log('The migrations already lead to prisma/schema.prisma.')
    return
  }
  const time = new Date().toISOString().replace(/\D/g, '').slice(0, 14) // as Prisma names them: yyyymmddhhmmss
  const folder = join(MIGRATIONS_DIR, `${time}_${name}`)
  await mkdir(folder)
  await writeFile(join(folder, 'migration.sql'), sql)
  console.log(`Wrote ${join(folder, 'migration.sql')}`)
}
