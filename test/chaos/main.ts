import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { join } from 'node:path'
import { setTimeout as delay } from 'node:timers/promises'
import { parseArgs } from 'node:util'
import { startOwnPostgres } from './own-postgres.ts'
import { complaintsOf } from './report.ts'
import { runSoak } from './soak.ts'

// npm run chaos -- [--minutes 30] [--seed n] [--replicas 3] [--hosts 40] [--family]   the soak
// npm run chaos -- --points 200      each point of a refresh that many times: kills, stops, naps, crashes of Postgres
// npm run chaos -- --outage 60       mints for so many seconds against an app whose secret Zoom refuses
const { values } = parseArgs({
  options: {
    minutes: { type: 'string', default: '5' },
    seed: { type: 'string', default: String(Date.now() % 1_000_000) },
    replicas: { type: 'string', default: '3' },
    hosts: { type: 'string', default: '40' },
    family: { type: 'boolean', default: false },
    points: { type: 'string' },
    outage: { type: 'string' },
  },
})
const ROOT = join(import.meta.dirname, '..', '..')
const say = (line: string) => process.stdout.write(`${line}\n`)

if (values.points) await runTests(['test/chaos'], { CHAOS_REPEATS: values.points })
else if (values.outage) await runTests(['test/processes/storms.test.ts'], { CHAOS_OUTAGE_SECONDS: values.outage })
else await soak()

/** The tests of `npm test`, with more of the same. */
async function runTests(files: string[], env: Record<string, string>): Promise<void> {
  const args = [join('node_modules', 'vitest', 'vitest.mjs'), 'run', ...files]
  const child = spawn(process.execPath, args, { cwd: ROOT, stdio: 'inherit', env: { ...process.env, ...env } })
  process.exitCode = Number((await once(child, 'exit'))[0] ?? 1)
}

async function soak(): Promise<void> {
  const postgres = await startOwnPostgres()
  try {
    const report = await runSoak({
      databaseUrl: postgres.url,
      seconds: Number(values.minutes) * 60,
      seed: Number(values.seed),
      replicas: Number(values.replicas),
      hosts: Number(values.hosts),
      familyRevocation: values.family,
      async restartDatabase(awayMs) {
        await postgres.crash()
        await delay(awayMs)
        await postgres.restart()
      },
      say,
    })
    say(JSON.stringify(report, null, 2))
    const complaints = complaintsOf(report)
    for (const complaint of complaints) say(`NOT SOUND: ${complaint}`)
    if (complaints.length === 0)
      say('Sound: every loss was said so and had its cause, none was silent, none mislabelled.')
    process.exitCode = complaints.length === 0 ? 0 : 1
  } finally {
    await postgres.remove()
  }
}
