// npm run mutate [-- group …]: changes the code of each group a bit at a time and tells which changes no test noticed.
// Ends with 1 where a group's score is below the threshold of stryker.config.mjs.
import { spawnSync } from 'node:child_process'
import { copyFile, readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { GROUPS } from './groups.ts'

const HERE = import.meta.dirname
const LOCK = join(HERE, 'package-lock.json')
const INSTALLED = join(HERE, 'node_modules', '.installed-lock.json')
const STRYKER = join(HERE, 'node_modules', '@stryker-mutator', 'core', 'bin', 'stryker.js')

/** Stryker comes here alone: it weighs more than all else that an `npm ci` of the project installs for lint and types. */
async function install(): Promise<void> {
  const [wanted, installed] = await Promise.all([readFile(LOCK, 'utf8'), readFile(INSTALLED, 'utf8').catch(() => '')])
  if (wanted === installed) return
  console.log('Installing Stryker (npm ci in mutation/) …')
  const args = ['ci', '--ignore-scripts', '--no-audit', '--no-fund', '--loglevel=error']
  const cli = process.env.npm_execpath?.endsWith('npm-cli.js') ? process.env.npm_execpath : undefined
  const options = { cwd: HERE, stdio: 'inherit' } as const
  const { status } = cli
    ? spawnSync(process.execPath, [cli, ...args], options)
    : spawnSync('npm', args, { ...options, shell: process.platform === 'win32' })
  if (status !== 0) throw new Error('npm ci in mutation/ failed. The lines above say why.')
  await copyFile(LOCK, INSTALLED)
}

function mutate(group: string): boolean {
  console.log(`\n=== ${group}`)
  const { status } = spawnSync(process.execPath, [STRYKER, 'run', join(HERE, 'stryker.config.mjs')], {
    cwd: join(HERE, '..'),
    stdio: 'inherit',
    env: { ...process.env, MUTATION_GROUP: group },
  })
  return status === 0
}

const asked = process.argv.slice(2)
const unknown = asked.filter((name) => !GROUPS[name])
if (unknown.length > 0) {
  console.error(`No such group: ${unknown.join(', ')}. There are ${Object.keys(GROUPS).join(', ')}.`)
  process.exitCode = 1
} else {
  await install()
  const failed = (asked.length > 0 ? asked : Object.keys(GROUPS)).filter((group) => !mutate(group))
  if (failed.length > 0) console.error(`Failed: ${failed.join(', ')}. Reports: .data/mutation/`)
  process.exitCode = failed.length > 0 ? 1 : 0
}
