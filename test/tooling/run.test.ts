import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { cp, mkdir, mkdtemp, readdir, readFile, rm, symlink, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { beforeEach, expect, onTestFinished, test } from 'vitest'

const SCRIPTS = join(import.meta.dirname, '../../scripts')
const LOCKED = { '': {}, 'node_modules/a': { version: '1.0.0', integrity: 'sha512-a' } }
const FOR_OTHER_PLATFORM = { 'node_modules/b': { version: '1.0.0', integrity: 'sha512-b', optional: true } }

let root: string

/** A small project: our scripts, one locked package, and an npm that notes how it was called and installs it. */
beforeEach(async () => {
  root = await mkdtemp(join(tmpdir(), 'latchkey-run-'))
  onTestFinished(() => rm(root, { recursive: true }))
  await mkdir(join(root, 'scripts'))
  for (const name of ['run.mjs', 'generate-client.mjs', 'lock.mjs'])
    await cp(join(SCRIPTS, name), join(root, 'scripts', name))
  await mkdir(join(root, 'src/generated/prisma'), { recursive: true })
  await writeLock('package-lock.json', { ...LOCKED, ...FOR_OTHER_PLATFORM })
  await writeFile(
    join(root, 'npm-cli.js'),
    `const fs = require('node:fs')
     fs.appendFileSync('npm-calls', process.argv[2] + '\\n')
     fs.mkdirSync('node_modules/node/bin', { recursive: true })
     if (!fs.existsSync('node_modules/node/bin/node')) fs.symlinkSync(process.execPath, 'node_modules/node/bin/node')
     fs.writeFileSync('node_modules/.package-lock.json', ${JSON.stringify(JSON.stringify({ packages: LOCKED }))})`,
  )
})

async function writeLock(path: string, packages: object): Promise<void> {
  await writeFile(join(root, path), JSON.stringify({ packages }))
}

async function writeInstalled(packages: object = LOCKED): Promise<void> {
  await mkdir(join(root, 'node_modules/node/bin'), { recursive: true })
  await symlink(process.execPath, join(root, 'node_modules/node/bin/node'))
  await writeLock('node_modules/.package-lock.json', packages)
}

function start(args: string[], env: Record<string, string> = {}): ChildProcess {
  const { npm_lifecycle_event: _, npm_node_execpath: __, ...inherited } = process.env
  return spawn(process.execPath, [join(root, 'scripts/run.mjs'), ...args], {
    cwd: root,
    env: { ...inherited, npm_execpath: join(root, 'npm-cli.js'), ...env },
    stdio: ['ignore', 'pipe', 'pipe'],
  })
}

async function run(...args: string[]): Promise<{ code: number; stdout: string }> {
  const child = start(args)
  const stdout = child.stdout?.toArray()
  const [code] = await once(child, 'close')
  return { code, stdout: (await stdout)?.join('') ?? '' }
}

const npmCalls = () => readFile(join(root, 'npm-calls'), 'utf8').catch(() => '')

test('hands arguments to Node 24 or newer and ends as it ended', async () => {
  await writeInstalled()
  const { code, stdout } = await run('-p', 'process.exitCode = 7; Number.parseInt(process.versions.node) >= 24')
  expect([code, stdout]).toEqual([7, 'true\n'])
})

test("programs of installed packages are found first, the pinned Node's own among them", async () => {
  await writeInstalled()
  const { stdout } = await run('-p', 'process.env.PATH.split(require("node:path").delimiter)[0]')
  expect(stdout.trim()).toBe(join(root, 'node_modules/.bin'))
})

test('installs nothing when node_modules is what the lockfile says', async () => {
  await writeInstalled()
  await run('-p', '1')
  expect(await npmCalls()).toBe('')
})

test('installs when node_modules is missing, saying so in one line', async () => {
  const { code, stdout } = await run('-p', '1')
  expect([code, await npmCalls()]).toEqual([0, 'ci\nrebuild\n'])
  expect(stdout).toMatch(/^Installing [^\n]+\n1\n$/)
})

test('installs when a locked package has another version than the installed one', async () => {
  await writeInstalled({ 'node_modules/a': { version: '0.9.0', integrity: 'sha512-old' } })
  await run('-p', '1')
  expect(await npmCalls()).toBe('ci\nrebuild\n')
})

test('two that start at once install once', async () => {
  const results = await Promise.all([run('-p', '1'), run('-p', '1')])
  expect(results.map(({ code }) => code)).toEqual([0, 0])
  expect(await npmCalls()).toBe('ci\nrebuild\n')
})

const LISTENER = `
  process.on('SIGTERM', () => process.exit(5))
  setInterval(() => undefined, 60_000)
  console.log('listening')`

test('passes SIGTERM on and waits for what Node does with it', async () => {
  await writeInstalled()
  const child = start(['-e', LISTENER])
  await once(child.stdout as NonNullable<ChildProcess['stdout']>, 'data')
  child.kill('SIGTERM')
  expect(await once(child, 'exit')).toEqual([5, null])
})

test.runIf(process.platform === 'linux')("ends what npm started when npm's shell has died of SIGTERM", async () => {
  await writeInstalled()
  const command = `"$0" scripts/run.mjs -e "$1"; true` // two commands, so that the shell stays in between
  const shell = spawn('sh', ['-c', command, process.execPath, LISTENER], {
    cwd: root,
    env: { ...process.env, npm_lifecycle_event: 'demo', npm_execpath: join(root, 'npm-cli.js') },
    stdio: ['ignore', 'pipe', 'inherit'],
  })
  await once(shell.stdout, 'data')
  shell.kill('SIGTERM')
  await once(shell.stdout, 'close') // as soon as nobody is left who could write to it
})

test('makes the Prisma client once, whole, however many start at once, and again when the schema changes', async () => {
  await rm(join(root, 'src/generated'), { recursive: true })
  await writeInstalled()
  await symlink(join(SCRIPTS, '../node_modules/prisma'), join(root, 'node_modules/prisma'))
  await mkdir(join(root, 'prisma'))
  const schema = `generator client {
  provider = "prisma-client"
  output   = "../src/generated/prisma"
}
datasource db {
  provider = "postgresql"
}
`
  await writeFile(join(root, 'prisma/schema.prisma'), schema)
  const tellsModel = ['-p', `require('node:fs').readdirSync('src/generated/prisma/models').includes('Added.ts')`]
  const first = await Promise.all([run(...tellsModel), run(...tellsModel)])
  expect(first.map(({ stdout }) => stdout)).toEqual(['false\n', 'false\n'])
  await writeFile(join(root, 'prisma/schema.prisma'), `${schema}model Added {\n  id Int @id\n}\n`)
  expect((await run(...tellsModel)).stdout).toBe('true\n')
  expect(await readdir(join(root, 'src/generated'))).toEqual(['prisma'])
}, 90_000)
