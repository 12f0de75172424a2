import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { expect, onTestFinished, test } from 'vitest'
import { signRecallRequest } from '../../simulator/recall.ts'
import { buildTestApp, RECALL_SECRET, type TestApp } from '../helpers/app.ts'
import { type Elsewhere, endClaims, importStates, newElsewhere, newImporter, presented } from '../helpers/import.ts'
import { type Replica, startReplica } from '../helpers/replica.ts'
import { newVaultHost } from '../helpers/vault.ts'

const ROOT = join(import.meta.dirname, '..', '..')
/** How many tokens an import has on their way at once. */
const IN_FLIGHT = 8

async function newHosts(t: TestApp, count: number): Promise<Elsewhere[]> {
  const hosts: Elsewhere[] = []
  while (hosts.length < count)
    hosts.push(
      ...(await Promise.all(Array.from({ length: Math.min(50, count - hosts.length) }, () => newElsewhere(t)))),
    )
  return hosts
}

async function fileOf(hosts: Elsewhere[]): Promise<string> {
  const directory = await mkdtemp(join(tmpdir(), 'latchkey-import-'))
  onTestFinished(() => rm(directory, { recursive: true }))
  const lines = hosts.map(({ externalUserId, refreshToken }) => `${externalUserId},${refreshToken}`)
  await writeFile(join(directory, 'hosts.csv'), `external_user_id,refresh_token\n${lines.join('\n')}\n`)
  return join(directory, 'hosts.csv')
}

/** `latchkey import` as an operator runs it. */
function startImport(t: TestApp, file: string, tenantId: string) {
  const child = spawn(process.execPath, ['src/cli/main.ts', 'import', 'csv', file, '--tenant', tenantId], {
    cwd: ROOT,
    env: { PATH: process.env.PATH ?? '', ...t.settings, LOG_LEVEL: 'error' },
    stdio: ['ignore', 'pipe', 'pipe'],
  })
  const output: string[] = []
  for (const stream of [child.stdout, child.stderr]) stream.on('data', (chunk) => output.push(String(chunk)))
  const ended = once(child, 'close').then(([code]) => ({ code: code as number | null, output: output.join('') }))
  return { child, ended }
}

/** Bots of several passes ask for tokens all the time; gives what went wrong, once it is told to stop. */
function keepMinting(target: Replica, urls: string[]) {
  const state = { minted: 0, failures: [] as string[], isStopped: false }
  async function mint(): Promise<void> {
    for (let turn = 0; !state.isStopped; turn++) {
      const { pathname, search } = new URL(String(urls[turn % urls.length]))
      const id = `msg_${crypto.randomUUID()}`
      const headers = signRecallRequest({ secrets: [RECALL_SECRET], id, timestamp: Math.floor(Date.now() / 1000) })
      const answer = await fetch(`${target.url}${pathname}${search}`, { headers })
      const body = await answer.text()
      if (answer.status === 200) state.minted += 1
      else state.failures.push(`${answer.status} ${body}`)
    }
  }
  const minting = Promise.all([mint(), mint()])
  return async () => {
    state.isStopped = true
    await minting
    return state
  }
}

test('500 hosts come in from a CSV beside live traffic; killed in the middle and run again, everyone is connected and no mint failed', async () => {
  const t = await buildTestApp()
  const live = await newVaultHost(t)
  const tenant = await newImporter(t)
  const hosts = await newHosts(t, 500)
  const file = await fileOf(hosts)
  const target = await startReplica({ ...t.settings, LOG_LEVEL: 'warn' })
  onTestFinished(async () => void (await target.stop('SIGKILL')))
  const passes = await Promise.all(Array.from({ length: 8 }, () => t.createPass({ meeting: live.meeting })))
  const stopMinting = keepMinting(
    target,
    passes.map(({ join_token_url }) => join_token_url),
  )

  // in the middle: what is then on its way never reaches Zoom's books
  const hold = t.zoom.setFault({
    match: { grant_type: 'refresh_token' },
    skip: 200,
    times: IN_FLIGHT,
    effect: 'never',
    action: { type: 'hold' },
  })
  const first = startImport(t, file, tenant.id)
  await hold.hit(IN_FLIGHT)
  first.child.kill('SIGKILL')
  await first.ended
  hold.clear()
  await endClaims(t)
  const second = await startImport(t, file, tenant.id).ended

  const { minted, failures } = await stopMinting()
  expect(second).toMatchObject({ code: 0 })
  expect(second.output).toContain('500 hosts: connected 500, rejected 0, deferred 0.')
  expect(second.output).toContain('Verified: 500 hosts read back, Zoom took 500 of their access tokens;')
  const times = hosts.map((host) => presented(t, host))
  expect(times.filter((count) => count === 1)).toHaveLength(500 - IN_FLIGHT)
  expect(times.filter((count) => count === 2)).toHaveLength(IN_FLIGHT)
  expect(failures).toEqual([])
  expect(minted).toBeGreaterThan(50)
}, 90_000)

test('killed after Zoom has rotated: only what was on its way is lost, each is called rotation_lost, and all others come in', async () => {
  const t = await buildTestApp()
  const tenant = await newImporter(t)
  const hosts = await newHosts(t, 40)
  const file = await fileOf(hosts)
  const match = { grant_type: 'refresh_token' }
  const hold = t.zoom.setFault({ match, skip: 4, times: IN_FLIGHT, action: { type: 'hold' } })
  const first = startImport(t, file, tenant.id)
  await hold.hit(IN_FLIGHT)
  first.child.kill('SIGKILL')
  await first.ended
  hold.clear()
  await endClaims(t)
  const second = await startImport(t, file, tenant.id).ended
  expect(second.code).toBe(1)
  expect(second.output).toContain(`40 hosts: connected ${40 - IN_FLIGHT}, rejected ${IN_FLIGHT}, deferred 0.`)
  const states = await importStates(t, tenant.id)
  expect(states.filter(({ code }) => code === 'rotation_lost')).toHaveLength(IN_FLIGHT)
  expect(states.filter(({ state }) => state === 'linked')).toHaveLength(40 - IN_FLIGHT)
}, 60_000)

test('SIGTERM lets what is under way come in: nothing is lost, and the next run goes on', async () => {
  const t = await buildTestApp()
  const tenant = await newImporter(t)
  const hosts = await newHosts(t, 40)
  const file = await fileOf(hosts)
  const hold = t.zoom.setFault({
    match: { grant_type: 'refresh_token' },
    skip: 4,
    times: IN_FLIGHT,
    action: { type: 'hold' },
  })
  const first = startImport(t, file, tenant.id)
  await hold.hit(IN_FLIGHT)
  first.child.kill('SIGTERM')
  hold.release()
  expect((await first.ended).output).toContain('Interrupted.')
  const second = await startImport(t, file, tenant.id).ended
  expect(second).toMatchObject({ code: 0 })
  expect(hosts.map((host) => presented(t, host))).toEqual(hosts.map(() => 1))
}, 60_000)
