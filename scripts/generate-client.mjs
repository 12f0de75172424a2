// Makes the Prisma client in src/generated/prisma when it is missing or older than prisma/schema.prisma.
// Plain JavaScript on Node's own modules: it runs before anything is installed, on whatever Node the machine has.
import { existsSync, readFileSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { fileURLToPath, pathToFileURL } from 'node:url'

const projectRoot = dirname(dirname(fileURLToPath(import.meta.url)))

/**
 * Does nothing (a few milliseconds) when the client is up to date, or when Prisma's CLI is not installed but a client
 * exists, as in the production image. Otherwise generates into a folder beside it and renames that into place, so that
 * two starts at once never see half a client.
 * @param {string} [root] of the project
 * @returns {Promise<boolean>} whether a client was made
 */
export async function generateClient(root = projectRoot) {
  const client = join(root, 'src', 'generated', 'prisma')
  const cli = join(root, 'node_modules', 'prisma')
  if (!existsSync(join(cli, 'package.json'))) {
    if (existsSync(client)) return false
    throw new Error('The Prisma client is missing and so is what makes it. Run "npm ci" first.')
  }
  const schema = readFileSync(join(root, 'prisma', 'schema.prisma'), 'utf8')
  const { version } = JSON.parse(readFileSync(join(cli, 'package.json'), 'utf8'))
  const stamp = `${version}\n${schema}` // compared as text: hashing would cost more than the whole check
  if (readStamp(client) === stamp) return false
  const [{ withLock }, { mkdirSync }] = await Promise.all([import('./lock.mjs'), import('node:fs')])
  mkdirSync(dirname(client), { recursive: true })
  return withLock(`${client}.lock`, async () => {
    if (readStamp(client) === stamp) return false // the other process just made it
    await makeClient({ root, client, cli, schema, stamp })
    return true
  })
}

function readStamp(client) {
  try {
    return readFileSync(join(client, 'stamp'), 'utf8')
  } catch {
    return undefined
  }
}

async function makeClient({ root, client, cli, schema, stamp }) {
  const { mkdirSync, renameSync, rmSync, writeFileSync } = await import('node:fs')
  const { spawnSync } = await import('node:child_process')
  const fresh = `${client}.${process.pid}.new`
  const former = `${client}.${process.pid}.old`
  try {
    rmSync(fresh, { recursive: true, force: true })
    mkdirSync(fresh, { recursive: true })
    // `prisma generate` has no option for the output, so it reads a copy of the schema that lives in the new folder
    const copy = join(fresh, 'schema.prisma')
    writeFileSync(copy, schema.replace(/^(\s*output\s*=\s*)".*"/m, '$1"./client"'))
    // any executable will do as engine: it keeps Prisma from downloading the one that `generate` never runs
    const env = { ...process.env, PRISMA_SCHEMA_ENGINE_BINARY: process.execPath, CHECKPOINT_DISABLE: '1' }
    const args = [join(cli, 'build', 'index.js'), 'generate', '--schema', copy, '--no-hints']
    // cwd keeps it away from prisma.config.ts, which may want a database URL
    const run = spawnSync(nodeBinary(root), args, { cwd: fresh, encoding: 'utf8', env })
    if (run.status !== 0) throw new Error(`prisma generate failed:\n${run.stdout}${run.stderr}${run.error ?? ''}`)
    const made = join(fresh, 'client')
    writeFileSync(join(made, 'stamp'), stamp)
    if (existsSync(client)) renameSync(client, former)
    renameSync(made, client)
  } finally {
    rmSync(fresh, { recursive: true, force: true })
    rmSync(former, { recursive: true, force: true })
  }
}

/**
 * The Node that runs this project: the one pinned in package.json, else the running one where it is new enough.
 * @param {string} root
 */
export function nodeBinary(root = projectRoot) {
  const pinned = join(root, 'node_modules', 'node', 'bin', process.platform === 'win32' ? 'node.exe' : 'node')
  if (existsSync(pinned)) return pinned
  if (Number.parseInt(process.versions.node, 10) >= 24) return process.execPath
  throw new Error(`This project needs Node 24; this is ${process.version}. Run "npm ci", which brings one along.`)
}

if (process.argv[1] && import.meta.url === pathToFileURL(process.argv[1]).href) {
  await generateClient().catch((error) => {
    console.error(error.message)
    process.exitCode = 1
  })
}
