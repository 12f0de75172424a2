import { afterAll, afterEach, beforeAll, describe, expect, test } from 'vitest'
import type { FaultAction } from '../../simulator/fault-schema.ts'
import { startTestApp, type TestApp } from '../helpers/app.ts'
import { CLIENT_ID } from '../helpers/connect.ts'
import {
  endLease,
  expireAccessToken,
  grantRow,
  newVaultHost,
  refreshFault,
  secondReplica,
  told,
  type VaultHost,
} from '../helpers/vault.ts'

const SECRET = 'simulator-client-secret'
let t: TestApp

beforeAll(async () => {
  t = await startTestApp()
})
afterAll(() => t.stop())
const mend = () => t.zoom.addApp({ client_id: CLIENT_ID, client_secrets: [SECRET], disabled: false })
afterEach(() => {
  t.zoom.clearFaults()
  mend()
})

const mint = async (host: VaultHost) => told(await t.bot(host.joinUrl))
const refreshPosts = () => t.zoom.log({ grant_type: 'refresh_token' }).length
const lines = (level: string) => t.log.filter((line) => JSON.parse(line).level === level).length
const minted = (host: VaultHost) => expect.poll(() => mint(host), { timeout: 6000, interval: 250 }).toEqual([200])

describe('a fault of the Zoom app itself', () => {
  test.each<[string, () => void]>([
    ['a wrong secret', () => t.zoom.addApp({ client_id: CLIENT_ID, client_secrets: ['another'] })],
    ['a disabled app (4717)', () => t.zoom.addApp({ client_id: CLIENT_ID, disabled: true })],
  ])('%s: 503, no grant is touched, one alarm, and it mends itself once Zoom takes the app', async (_, spoil) => {
    const host = await newVaultHost(t)
    await expireAccessToken(t, host)
    const [alarms, posts] = [lines('error'), refreshPosts()]
    spoil()
    for (let index = 0; index < 40; index++) expect(await mint(host)).toEqual([503, 'app_misconfigured'])
    const row = await grantRow(t, host)
    expect(row).toMatchObject({ status: 'connected', reason: null, gen: 1, isIntentOpen: false, leaseSeconds: 0 })
    expect(lines('error') - alarms).toBe(1)
    expect(refreshPosts() - posts).toBeLessThanOrEqual(2) // a probe every 2 s, not one per mint
    mend()
    await minted(host)
    expect(lines('error') - alarms).toBe(1)
    expect(await grantRow(t, host)).toMatchObject({ status: 'connected', gen: 2, isIntentOpen: false })
  })

  test('hosts whose access token lives are served meanwhile', async () => {
    const [dead, living] = [await newVaultHost(t), await newVaultHost(t)]
    await expireAccessToken(t, dead)
    t.zoom.addApp({ client_id: CLIENT_ID, client_secrets: ['another'] })
    expect(await mint(dead)).toEqual([503, 'app_misconfigured'])
    expect(await mint(living)).toEqual([200])
    mend()
    await minted(dead)
  })

  test('a recovery that the app’s fault cuts short leaves the intent open', async () => {
    const host = await newVaultHost(t)
    await expireAccessToken(t, host)
    refreshFault(t, host, { type: 'reset' })
    expect(await mint(host)).toEqual([502, 'zoom_unavailable'])
    await endLease(t, host)
    t.zoom.addApp({ client_id: CLIENT_ID, client_secrets: ['another'] })
    expect(await mint(host)).toEqual([503, 'app_misconfigured'])
    const doubtful = { status: 'connected', gen: 1, isIntentOpen: true, attempts: ['ambiguous', 'retryable'] }
    expect(await grantRow(t, host)).toMatchObject(doubtful)
    mend()
    await expect.poll(() => mint(host), { timeout: 6000, interval: 250 }).toEqual([404, 'reconnect_required'])
    expect(await grantRow(t, host)).toMatchObject({ reason: 'rotation_lost' })
  })

  test.each<[string, FaultAction]>([
    ['401 invalid_client', { type: 'body', status: 401, body: { error: 'invalid_client', reason: 'Invalid client' } }],
    ['4706', { type: 'zoom_error', code: 4706 }],
  ])('%s pauses the app for every grant of it, tells when to come again, and condemns none', async (_, action) => {
    const [one, two] = [await newVaultHost(t), await newVaultHost(t)]
    await Promise.all([expireAccessToken(t, one), expireAccessToken(t, two)])
    t.zoom.setFault({ match: { grant_type: 'refresh_token' }, effect: 'never', action })
    const refused = await t.bot(one.joinUrl)
    expect(told(refused)).toEqual([503, 'app_misconfigured'])
    expect(refused.headers['retry-after']).toBe('2')
    expect(await mint(two)).toEqual([503, 'app_misconfigured'])
    await minted(two)
    await minted(one)
    for (const host of [one, two]) expect((await grantRow(t, host)).status).toBe('connected')
  })

  test('a former secret that Zoom takes no more is passed over for the next one, and nothing is spent twice', async () => {
    const host = await newVaultHost(t)
    const second = await secondReplica(t, { ZOOM_OAUTH_APP_CLIENT_SECRET: `not-yet-known-to-zoom,${SECRET}` })
    await expireAccessToken(t, host)
    const answer = await second.bot(host.joinUrl)
    await second.app.close()
    expect(told(answer)).toEqual([200])
    expect(await grantRow(t, host)).toMatchObject({ gen: 2, attempts: ['ok'] })
  })
})
