import { randomBytes } from 'node:crypto'
import { parseArgs } from 'node:util'
import pg from 'pg'
import { startScratchPostgres } from '../../scripts/scratch-postgres.ts'
import { applyMigrations } from '../../src/migrations/apply.ts'
import { MIGRATIONS_DIR, SCHEMA_PATH } from '../../src/migrations/directory.ts'
import { runSoak } from './soak.ts'

const { values } = parseArgs({
  options: {
    minutes: { type: 'string', default: '5' },
    seed: { type: 'string', default: String(Date.now() % 1_000_000) },
    replicas: { type: 'string', default: '3' },
    hosts: { type: 'string', default: '40' },
  },
})
const say = (line: string) => process.stdout.write(`${line}\n`)

const postgres = await startScratchPostgres()
const admin = new pg.Client({ connectionString: postgres.adminUrl })
await admin.connect()
const name = `latchkey_chaos_${randomBytes(4).toString('hex')}`
try {
  const url = new URL(postgres.url)
  await admin.query(`CREATE DATABASE ${name} OWNER ${url.username}`)
  url.pathname = `/${name}`
  const connectionString = url.href
  await applyMigrations({ connectionString, schemaPath: SCHEMA_PATH, migrationsDir: MIGRATIONS_DIR, log: () => {} })
  const report = await runSoak({
    databaseUrl: connectionString,
    seconds: Number(values.minutes) * 60,
    seed: Number(values.seed),
    replicas: Number(values.replicas),
    hosts: Number(values.hosts),
    say,
  })
  say(JSON.stringify(report, null, 2))
  const isSound = report.mislabelled.length === 0
  say(isSound ? 'Sound: every loss was said so, none was silent, none mislabelled.' : 'NOT SOUND: see mislabelled.')
  process.exitCode = isSound ? 0 : 1
} finally {
  await admin.query(`DROP DATABASE IF EXISTS ${name} WITH (FORCE)`)
  await admin.end()
  await postgres.stop()
}
