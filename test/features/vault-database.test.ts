import { afterAll, afterEach, beforeAll, describe, expect, test } from 'vitest'
import { startTestApp, type TestApp } from '../helpers/app.ts'
import { rows } from '../helpers/connect.ts'
import { type PostgresProxy, startPostgresProxy } from '../helpers/postgres-proxy.ts'
import {
  endLease,
  expireAccessToken,
  grantRow,
  holdsLivingPair,
  newVaultHost,
  type Replica,
  refreshCalls,
  refreshFault,
  secondReplica,
  told,
  type VaultHost,
} from '../helpers/vault.ts'

let t: TestApp
let proxy: PostgresProxy
/** The replica under test reaches the database through the proxy; `t` looks at it directly. */
let replica: Replica

beforeAll(async () => {
  t = await startTestApp()
  proxy = await startPostgresProxy(t.databaseUrl)
  replica = await secondReplica(t, { DATABASE_URL: proxy.url, DATABASE_POOL_MAX: '3' })
})
afterAll(async () => {
  await replica.app.close()
  await proxy.close()
  await t.stop()
})
afterEach(() => {
  proxy.open()
  t.zoom.clearFaults()
})

const mint = async (host: VaultHost) => told(await replica.bot(host.joinUrl))
const STORED = { status: 'connected', gen: 2, isIntentOpen: false, leaseSeconds: 0, attempts: ['ok'] }

async function expectStoredOnce(host: VaultHost) {
  await expect.poll(() => grantRow(t, host)).toMatchObject(STORED)
  expect(refreshCalls(t, host)).toBe(1)
  expect(await holdsLivingPair(t, host)).toBe(true)
}

async function refreshesCounted(outcome: string): Promise<number> {
  const text = await replica.metrics.registry.metrics()
  return Number(new RegExp(`latchkey_refreshes_total\\{outcome="${outcome}"\\} (\\d+)`).exec(text)?.[1] ?? 0)
}

/** A host whose refresh Zoom has done, its answer held back; the bot waits. */
async function zoomHasRotated() {
  const host = await newVaultHost(t)
  await expireAccessToken(t, host)
  const refresh = refreshFault(t, host, { type: 'hold' })
  const answer = mint(host)
  await refresh.hit()
  return { host, refresh, answer }
}

describe('a rotated pair reaches the database', () => {
  test.each([
    ['although the answer to its COMMIT is lost: it is read back, not written or refreshed again', 'response'],
    ['although the first write never arrives', 'request'],
  ] as const)('%s', async (_, when) => {
    const host = await newVaultHost(t)
    await expireAccessToken(t, host)
    const before = await refreshesCounted('ok')
    const lost = proxy.lose({ statement: 'grant_persist', when })
    const answer = mint(host)
    await lost
    expect(await answer).toEqual([200])
    expect((await refreshesCounted('ok')) - before).toBe(1)
    await expectStoredOnce(host)
  })

  test('although every connection is terminated while Zoom answers', async () => {
    const { host, refresh, answer } = await zoomHasRotated()
    await rows(
      t,
      `SELECT pg_terminate_backend(pid) FROM pg_stat_activity
        WHERE datname = current_database() AND pid <> pg_backend_pid()`,
    )
    refresh.release()
    expect(await answer).toEqual([200])
    await expectStoredOnce(host)
  })

  test('although the database is away when Zoom answers, as soon as it is back', async () => {
    const { host, refresh, answer } = await zoomHasRotated()
    const triesBefore = tries()
    proxy.cut()
    refresh.release()
    await expect.poll(tries).toBeGreaterThan(triesBefore + 2)
    proxy.open()
    await answer
    await expectStoredOnce(host)
  })

  test('although every connection for requests is taken', async () => {
    const { host, refresh, answer } = await zoomHasRotated()
    const { main } = replica.app.pools
    const taken = await Promise.all(Array.from({ length: 3 }, () => main.connect()))
    refresh.release()
    expect(await answer).toEqual([200])
    await expectStoredOnce(host)
    for (const client of taken) client.release()
  })

  test('although the table takes no write for a while', async () => {
    const { host, refresh, answer } = await zoomHasRotated()
    const triesBefore = tries()
    await rows(t, `CREATE FUNCTION refuse() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN RAISE 'repair'; END $$`)
    await rows(t, 'CREATE TRIGGER refuse BEFORE UPDATE ON grant_tokens FOR EACH ROW EXECUTE FUNCTION refuse()')
    refresh.release()
    await expect.poll(tries).toBeGreaterThan(triesBefore + 2)
    await rows(t, 'DROP TRIGGER refuse ON grant_tokens')
    await answer
    await expectStoredOnce(host)
  })

  test('before the service lets go of its database when it is told to stop', async () => {
    const stopping = await secondReplica(t)
    const host = await newVaultHost(t)
    await expireAccessToken(t, host)
    const refresh = refreshFault(t, host, { type: 'hold' })
    const lent = stopping.services.vault.withAccessToken(host.grantId, async () => 'lent')
    await refresh.hit()
    const closed = stopping.app.close()
    refresh.release()
    await closed
    expect(await lent).toBe('lent')
    await expectStoredOnce(host)
  })
})

const tries = () => replica.log.filter((line) => line.includes('tokens are not stored yet')).length

test('a verdict whose answer is lost stands, with its reason, and is not asked for again', async () => {
  const host = await newVaultHost(t)
  await expireAccessToken(t, host)
  t.zoom.revokeGrant(host.email)
  const lost = proxy.lose({ statement: 'grant_verdict', when: 'response' })
  const answer = mint(host)
  await lost
  expect(await answer).toEqual([404, 'reconnect_required'])
  expect(refreshCalls(t, host)).toBe(1)
  const condemned = { status: 'reconnect_required', reason: 'rejected_by_zoom', attempts: ['rejected'] }
  expect(await grantRow(t, host)).toMatchObject(condemned)
})

test('where the answer to the lease is lost, nothing is sent to Zoom; the next attempt recovers', async () => {
  const host = await newVaultHost(t)
  await expireAccessToken(t, host)
  const lost = proxy.lose({ statement: 'grant_acquire', when: 'response' })
  const answer = mint(host)
  await lost
  expect(await answer).toEqual([503, 'store_unavailable'])
  expect(refreshCalls(t, host)).toBe(0)
  expect(await grantRow(t, host)).toMatchObject({ status: 'connected', isIntentOpen: true, attempts: ['open'] })
  await endLease(t, host)
  expect(await mint(host)).toEqual([200])
  expect(await grantRow(t, host)).toMatchObject({ gen: 2, isIntentOpen: false, attempts: ['open', 'ok'] })
})

test.each([
  ['grant_first_pair', 'response'],
  ['grant_reconnect', 'response'],
  ['grant_reconnect', 'request'],
] as const)(
  'a pair from a new authorisation is stored although %s loses its connection at its %s',
  async (statement, when) => {
    const host = await newVaultHost(t)
    const [app] = await rows<{ id: string }>(t, `SELECT id FROM zoom_apps WHERE managed_by = 'environment'`)
    const [grant] = await rows<{ zoom_user_id: string }>(t, 'SELECT zoom_user_id FROM grants WHERE id = $1', [
      host.grantId,
    ])
    const zoomUserId = statement === 'grant_reconnect' ? String(grant?.zoom_user_id) : 'somebody-new'
    const accessToken = `access-${when}-${statement}`
    const tokens = { accessToken, refreshToken: 'refresh', expiresInSeconds: 3600, scopes: [] }
    const lost = proxy.lose({ statement, when })
    const admitted = replica.services.vault.admit({
      zoomAppId: String(app?.id),
      zoomUserId,
      zoomAccountId: 'a',
      tokens,
      requestedAtMs: performance.now(),
    })
    await lost
    const { grantId } = await admitted
    const lent = (vault: TestApp['services']['vault']) => vault.withAccessToken(grantId, async (token) => token)
    expect([await lent(replica.services.vault), await lent(t.services.vault)]).toEqual([accessToken, accessToken])
  },
)

test('without its database a bot gets 503 store_unavailable and no token, and Zoom is not asked', async () => {
  const host = await newVaultHost(t)
  expect(await mint(host)).toEqual([200])
  const before = t.zoom.minted.length
  proxy.cut()
  const answer = await replica.bot(host.joinUrl)
  expect(told(answer)).toEqual([503, 'store_unavailable'])
  expect(answer.headers['retry-after']).toBeDefined()
  expect(t.zoom.minted.length).toBe(before)
  proxy.open()
  expect(await mint(host)).toEqual([200])
})

test('the process does not end before the pair of an authorisation is stored', async () => {
  const own = await secondReplica(t)
  const [app] = await rows<{ id: string }>(t, `SELECT id FROM zoom_apps WHERE managed_by = 'environment'`)
  const tokens = { accessToken: 'access', refreshToken: 'refresh', expiresInSeconds: 3600, scopes: [] }
  const client = await t.admin.connect()
  await client.query('BEGIN')
  await client.query('LOCK TABLE grant_tokens IN ACCESS EXCLUSIVE MODE')
  const ends: string[] = []
  const consent = { zoomAppId: String(app?.id), zoomUserId: 'late', zoomAccountId: null, tokens }
  const admitted = own.services.vault.admit({ ...consent, requestedAtMs: performance.now() })
  const stored = admitted.then(() => ends.push('stored'))
  const drained = own.services.vault.drain().then(() => ends.push('drained'))
  await client.query('COMMIT')
  client.release()
  await Promise.all([stored, drained])
  expect(ends).toEqual(['stored', 'drained'])
  await own.app.close()
})
