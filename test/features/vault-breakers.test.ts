import { randomUUID } from 'node:crypto'
import { expect, test } from 'vitest'
import { rows } from '../helpers/connect.ts'
import {
  endLease,
  expireAccessToken,
  grantRow,
  newVaultHost,
  refreshCalls,
  refreshFault,
  told,
  vaultApp,
} from '../helpers/vault.ts'

const t = await vaultApp()

const refreshPosts = () => t.zoom.log({ grant_type: 'refresh_token' }).length
const lines = (part: string) => t.log.filter((line) => line.includes(part)).length
const metric = async (name: string) => (await t.metrics.registry.getSingleMetricAsString(name)).split('\n')

/** A grant that no tenant links, with a refresh token that the simulated Zoom has never given. */
async function bareGrant(): Promise<string> {
  const [app] = await rows<{ id: string }>(t, `SELECT id FROM zoom_apps WHERE managed_by = 'environment'`)
  const tokens = { accessToken: randomUUID(), refreshToken: randomUUID(), expiresInSeconds: 3600, scopes: [] }
  const consent = { zoomAppId: String(app?.id), zoomUserId: randomUUID(), zoomAccountId: null, tokens }
  const { grantId } = await t.services.vault.admit({ ...consent, requestedAtMs: performance.now() })
  await rows(t, 'UPDATE grant_tokens SET access_expires_at = now() WHERE grant_id = $1', [grantId])
  return grantId
}

test('a grant whose refreshes fail three times is left in peace for a while; the others are not', async () => {
  const [bad, good] = [await newVaultHost(t), await newVaultHost(t)]
  const fault = refreshFault(t, bad, { type: 'status', status: 500 }, { times: -1 })
  await expireAccessToken(t, bad)
  for (let tries = 0; tries < 3; tries++) {
    expect(told(await t.bot(bad.joinUrl))).toEqual([502, 'zoom_unavailable'])
    await endLease(t, bad)
  }
  const asked = refreshCalls(t, bad)
  const answers = await Promise.all(Array.from({ length: 20 }, () => t.bot(bad.joinUrl)))
  for (const answer of answers) {
    expect(told(answer)).toEqual([502, 'zoom_unavailable'])
    expect(Number(answer.headers['retry-after'])).toBeLessThanOrEqual(5)
  }
  expect(refreshCalls(t, bad)).toBe(asked)
  expect(await metric('latchkey_breakers_open')).toContain('latchkey_breakers_open{breaker="grant"} 1')
  await expireAccessToken(t, good)
  expect(told(await t.bot(good.joinUrl))).toEqual([200])
  fault.clear()
  await expect.poll(async () => told(await t.bot(bad.joinUrl)), { timeout: 10_000, interval: 300 }).toEqual([200])
  expect(await grantRow(t, bad)).toMatchObject({ status: 'connected', isIntentOpen: false })
  expect(await metric('latchkey_breakers_open')).toContain('latchkey_breakers_open{breaker="grant"} 0')
})

test('a token endpoint that fails for everybody is probed, not stormed: one alarm, and it recovers by itself', async () => {
  const grantIds: string[] = []
  for (let index = 0; index < 60; index++) grantIds.push(await bareGrant())
  const host = await newVaultHost(t)
  await expireAccessToken(t, host)
  const fault = t.zoom.setFault({
    match: { grant_type: 'refresh_token' },
    times: -1,
    action: { type: 'status', status: 503 },
  })
  const [before, alarms] = [refreshPosts(), lines('token endpoint fails for every grant')]
  const lend = (grantId: string) =>
    t.services.vault.withAccessToken(grantId, async () => null).catch((error) => error.code)
  for (const grantId of grantIds) expect(await lend(grantId)).toBe('zoom_unavailable')
  const spent = refreshPosts() - before
  expect(spent).toBeGreaterThanOrEqual(50)
  expect(spent).toBeLessThanOrEqual(53) // a probe or two may have been due
  expect(told(await t.bot(host.joinUrl))).toEqual([502, 'zoom_unavailable'])
  expect(lines('token endpoint fails for every grant') - alarms).toBe(1)
  fault.clear()
  await expect.poll(async () => told(await t.bot(host.joinUrl)), { timeout: 10_000, interval: 300 }).toEqual([200])
  expect(lines('token endpoint answers again')).toBe(1)
})
