import { spawn } from 'node:child_process'
import { randomBytes } from 'node:crypto'
import { join } from 'node:path'
import { setTimeout as delay } from 'node:timers/promises'
import { expect, onTestFinished, test } from 'vitest'
import { signRecallRequest } from '../../simulator/recall.ts'
import { buildTestApp, RECALL_SECRET, type TestApp } from '../helpers/app.ts'
import { rows } from '../helpers/connect.ts'
import { ringOf, seedPopulation } from '../helpers/population.ts'
import { type Replica, startReplica } from '../helpers/replica.ts'

const GRANTS = 10_000
const LIVING = 500
const MINTS_PER_SECOND = 50
const LOAD_SECONDS = 8
// one event loop plays Zoom, all the bots and the test here, so how long they wait says nothing of the service
const PATIENCE = { MINT_DEADLINE_MS: '25000', ZOOM_TIMEOUT_MS: '20000' }

const keyOf = (kid: string) => `${kid}:${randomBytes(32).toString('base64')}`
const [OLD, NEW] = [keyOf('old'), keyOf('new')]

async function replica(t: TestApp, keys: string): Promise<Replica> {
  const started = await startReplica({ ...t.settings, ...PATIENCE, ENCRYPTION_KEYS: keys })
  onTestFinished(async () => void (await started.stop('SIGKILL')))
  return started
}

/** `latchkey keys …` as an operator types it. `killAt`: the process is killed as soon as it says this. */
async function latchkey(t: TestApp, keys: string, words: string[], killAt?: RegExp) {
  const child = spawn(process.execPath, ['src/cli/main.ts', ...words], {
    cwd: join(import.meta.dirname, '..', '..'),
    env: { PATH: process.env.PATH ?? '', ...t.settings, ENCRYPTION_KEYS: keys },
  })
  let said = ''
  for (const stream of [child.stdout, child.stderr])
    stream.on('data', (chunk) => {
      said += String(chunk)
      if (killAt?.test(said)) child.kill('SIGKILL')
    })
  const status = await new Promise((resolve) => child.once('close', (code, signal) => resolve(signal ?? code)))
  return { status, said }
}

async function mint(target: Replica, path: string): Promise<string> {
  const id = `msg_${randomBytes(9).toString('hex')}`
  const headers = signRecallRequest({ secrets: [RECALL_SECRET], id, timestamp: Math.floor(Date.now() / 1000) })
  const answer = await fetch(target.url + path, { headers }).catch((error: unknown) => ({
    status: 0,
    text: () => String(error),
  }))
  const body = await answer.text()
  return answer.status === 200 && body !== '' ? 'minted' : `${answer.status} ${body}`
}

/** Mints of all passes in turn, at a steady rate, until told to stop. */
function startLoad(target: Replica, paths: string[]) {
  const answers: Promise<string>[] = []
  const startedAt = performance.now()
  let isOver = false
  const running = (async () => {
    while (!isOver) {
      const due = ((performance.now() - startedAt) / 1000) * MINTS_PER_SECOND
      while (answers.length < due) answers.push(mint(target, paths[answers.length % paths.length] as string))
      await delay(10)
    }
  })()
  return async () => {
    await delay(Math.max(0, startedAt + LOAD_SECONDS * 1000 - performance.now()))
    isOver = true
    await running
    return await Promise.all(answers)
  }
}

const underOld = async (t: TestApp) =>
  (await rows<{ n: number }>(t, `SELECT count(*)::int AS n FROM data_keys WHERE kid = 'old'`))[0]?.n

test('keys rotate over 10,000 grants at 50 mints a second, killed once on the way, with no failed mint', {
  timeout: 90_000,
}, async () => {
  const t = await buildTestApp({ env: { ENCRYPTION_KEYS: OLD } })
  const { grantIds, paths } = await seedPopulation(t, ringOf(OLD), { grants: GRANTS, living: LIVING })
  // every fifth has to be refreshed, so rotations of pairs meet the rotation of keys
  const due = grantIds.filter((_, index) => index % 5 === 0)
  await rows(t, 'UPDATE grant_tokens SET access_expires_at = now() WHERE grant_id = ANY($1)', [due])
  const both = `${NEW},${OLD}`
  const target = await replica(t, both)
  const stopLoad = startLoad(target, paths)

  // what is held is left for later: so the first run is killed in the middle, however fast this machine is
  const holder = await t.admin.connect()
  await holder.query('BEGIN')
  await holder.query('SELECT FROM data_keys WHERE id IN (SELECT id FROM data_keys ORDER BY id OFFSET $1) FOR UPDATE', [
    GRANTS / 2,
  ])
  const killed = await latchkey(t, both, ['keys', 'rotate'], new RegExp(`^${GRANTS / 2} of `, 'm'))
  const left = await underOld(t)
  await holder.query('COMMIT')
  holder.release()
  expect([killed.status, left], killed.said).toEqual(['SIGKILL', GRANTS / 2])

  const resumed = await latchkey(t, both, ['keys', 'rotate'])
  expect([resumed.status, resumed.said]).toEqual([0, expect.stringContaining('Every data key is wrapped under new')])
  expect(resumed.said).toContain(`${GRANTS / 2} data keys were wrapped anew`)
  const answers = await stopLoad()
  expect(answers.filter((answer) => answer !== 'minted')).toEqual([])
  expect(answers.length).toBeGreaterThanOrEqual(MINTS_PER_SECOND * LOAD_SECONDS)
  expect(t.zoom.refreshes).toBeGreaterThanOrEqual(Math.min(due.length, answers.length / 5) - 1)

  const status = await latchkey(t, NEW, ['keys', 'status', '--verify'])
  expect([status.status, await underOld(t)], status.said).toEqual([0, 0])
  expect(await target.stop()).toBe(0)
  const successor = await replica(t, NEW)
  const after = await Promise.all(paths.slice(0, 100).map((path) => mint(successor, path)))
  expect(after.filter((answer) => answer !== 'minted')).toEqual([])
})
