// npm run check [-- --write]: everything that must hold beside the tests. --write brings formatting and docs/openapi.json
// up to date first.
import { checkHouseRules } from './checks/house-rules.ts'
import { checkLicences } from './checks/licences.ts'
import { checkLockfile } from './checks/lockfile.ts'
import { checkMigrations } from './checks/migrations.ts'
import { checkOpenApi } from './checks/openapi.ts'
import { complaintsOf } from './checks/program.ts'

const isWriting = process.argv.includes('--write')

const STEPS: Record<string, () => Promise<string>> = {
  'lint and format': () => complaintsOf('biome', ['check', '--error-on-warnings', ...(isWriting ? ['--write'] : [])]),
  types: () => complaintsOf('tsc', ['--noEmit']),
  'dead code': () => complaintsOf('knip', ['--no-progress', '--no-config-hints']),
  'house rules': checkHouseRules,
  lockfile: checkLockfile,
  licences: checkLicences,
  'migration drift': checkMigrations,
  'openapi drift': () => checkOpenApi({ isWriting }),
}

const results = await Promise.all(
  Object.entries(STEPS).map(async ([name, step]) => {
    const start = performance.now()
    const complaint = await step().catch((error: unknown) => (error instanceof Error ? error.message : String(error)))
    return { name, complaint, seconds: ((performance.now() - start) / 1000).toFixed(1) }
  }),
)

for (const { name, complaint } of results) if (complaint) console.log(`--- ${name}\n${complaint}\n`)
for (const { name, complaint, seconds } of results) {
  console.log(`${complaint ? 'FAIL' : 'PASS'}  ${name.padEnd(16)} ${seconds.padStart(6)} s`)
}
const failed = results.filter(({ complaint }) => complaint).length
console.log(failed === 0 ? 'PASS: every check' : `FAIL: ${failed} of ${results.length} checks`)
process.exitCode = failed === 0 ? 0 : 1
