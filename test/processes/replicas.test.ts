import { randomBytes } from 'node:crypto'
import { expect, onTestFinished, test, vi } from 'vitest'
import { signRecallRequest } from '../../simulator/recall.ts'
import { buildTestApp, RECALL_SECRET, type TestApp } from '../helpers/app.ts'
import { type Replica, spawnServer, startReplica } from '../helpers/replica.ts'

async function replica(t: TestApp, env: Record<string, string> = {}): Promise<Replica> {
  const started = await startReplica({ ...t.settings, ...env })
  onTestFinished(async () => {
    await started.stop('SIGKILL')
  })
  return started
}

/** A bot's signed request to one replica, whatever base URL the pass was made with. */
async function bot(target: Replica, url: string) {
  const { pathname, search } = new URL(url)
  const id = `msg_${randomBytes(9).toString('hex')}`
  const headers = signRecallRequest({ secrets: [RECALL_SECRET], id, timestamp: Math.floor(Date.now() / 1000) })
  const answer = await fetch(`${target.url}${pathname}${search}`, { headers })
  return { status: answer.status, body: await answer.text() }
}

async function hostWithPass(t: TestApp) {
  await t.connectHost('user-1', 'host@example.com')
  return await t.createPass({ meeting: '85996249517', host: { external_user_id: 'user-1' } })
}

test('two replicas, one expired grant, 200 concurrent mints: exactly one refresh, no failure', async () => {
  const t = await buildTestApp()
  const pass = await hostWithPass(t)
  const replicas = await Promise.all([replica(t), replica(t)])
  t.zoom.expireAccessTokens()
  await t.admin.query('UPDATE grant_tokens SET access_expires_at = now()')
  const before = t.zoom.refreshes
  const answers = await Promise.all(
    Array.from({ length: 200 }, (_, index) => bot(replicas[index % 2] as Replica, pass.join_token_url)),
  )
  expect(answers.filter(({ status }) => status !== 200)).toEqual([])
  expect(new Set(answers.map(({ body }) => body)).size).toBe(200)
  expect(t.zoom.refreshes - before).toBe(1)
})

test('a pass, a mapping and a key changed through one replica count in the other at the next request', async () => {
  const t = await buildTestApp()
  const pass = await hostWithPass(t)
  const other = await replica(t)
  expect((await bot(other, pass.join_token_url)).status).toBe(200)
  await t.api('DELETE', `/v1/passes/${pass.id}`)
  expect((await bot(other, pass.join_token_url)).status).toBe(401)
})

test('SIGTERM: readiness turns, a mint in flight gets its token, its outcome is written, exit 0', async () => {
  const t = await buildTestApp()
  const pass = await hostWithPass(t)
  const target = await replica(t)
  const fault = t.zoom.setFault({ match: { path: '/v2/meetings' }, action: { type: 'hold' } })
  const answer = bot(target, pass.join_token_url)
  await fault.hit(1)
  const ended = target.stop('SIGTERM')
  fault.release()
  expect((await answer).status).toBe(200)
  expect(await ended).toBe(0)
  const rows = (await t.api('GET', `/v1/mints?pass_id=${pass.id}`)).json().data
  expect(rows).toMatchObject([{ outcome: 'minted' }])
})

test('a replica renews by itself what an announced bot is about to need, and SIGTERM still ends it with 0', async () => {
  const t = await buildTestApp()
  const pass = await hostWithPass(t)
  const sql = async (text: string) => (await t.admin.query<{ gen: string }>(text)).rows
  await sql(
    `UPDATE grant_tokens SET access_expires_at = now() + interval '400 s', refreshed_at = now() - interval '3200 s'`,
  )
  await sql(`UPDATE passes SET join_at = now() + interval '300 s'`)
  const target = await replica(t)
  await vi.waitFor(async () => expect(await sql('SELECT gen FROM grant_tokens')).toEqual([{ gen: '2' }]), 15_000)
  expect(t.zoom.refreshes).toBe(1)
  expect((await bot(target, pass.join_token_url)).status).toBe(200)
  expect(t.zoom.refreshes).toBe(1)
  expect(await target.stop('SIGTERM')).toBe(0)
})

test('an environment with several faults names them all at once, prints no value, and ends with status 1', async () => {
  const secret = 'hex-instead-of-base64-0123456789'
  const failed = await spawnServer({
    NODE_ENV: 'production',
    ENCRYPTION_KEYS: secret,
    OPERATOR_API_KEY: 'short',
    PUBLIC_BASE_URL: 'http://latchkey.example',
  })
  expect(await failed.ended).toBe(1)
  const printed = failed.log.join('')
  for (const name of ['ENCRYPTION_KEYS', 'OPERATOR_API_KEY', 'PUBLIC_BASE_URL', 'DATABASE_URL', 'INSTALLATION_ID'])
    expect(printed).toContain(name)
  expect(printed).not.toContain(secret)
})
