import { expect, test, vi } from 'vitest'
import type { TestApp } from '../helpers/app.ts'
import { rows } from '../helpers/connect.ts'
import {
  endLease,
  expireAccessToken,
  newVaultHost,
  refreshFault,
  secondReplica,
  told,
  type VaultHost,
  vaultApp,
} from '../helpers/vault.ts'

const t = await vaultApp()

/** The samples of `/metrics` whose line begins so, as numbers. */
async function samples(prefix: string, { metrics } = t): Promise<Record<string, number>> {
  const lines = (await metrics.registry.metrics()).split('\n').filter((line) => line.startsWith(prefix))
  return Object.fromEntries(lines.map((line) => [line.slice(0, line.lastIndexOf(' ')), Number(line.split(' ').at(-1))]))
}
const rotations = async (fate: string, of = t) =>
  (await samples(`latchkey_rotations_total{fate="${fate}"`, of))[`latchkey_rotations_total{fate="${fate}"}`] ?? 0
const mint = async (host: VaultHost, of: Pick<TestApp, 'bot'> = t) => told(await of.bot(host.joinUrl))

test('a rotation is counted as kept where it was made, and as adopted by the replica that waited for it', async () => {
  const other = await secondReplica(t)
  const host = await newVaultHost(t)
  await expireAccessToken(t, host)
  const [kept, adopted] = [await rotations('kept'), await rotations('adopted', { ...t, ...other })]
  const refresh = refreshFault(t, host, { type: 'hold' }, { effect: 'before' })
  const [first] = [mint(host), await refresh.hit()]
  const queries = vi.spyOn(other.app.pools.mint, 'query')
  const looks = ({ mock }: typeof queries) =>
    mock.calls.filter(([query]) => String((query as { name?: string }).name).startsWith('grant_read_')).length
  const second = mint(host, other)
  // its third look at the row: the second has found the lease taken
  await expect.poll(() => looks(queries)).toBeGreaterThanOrEqual(3)
  refresh.release()
  expect(await Promise.all([first, second])).toEqual([[200], [200]])
  expect(await rotations('kept')).toBe(kept + 1)
  expect(await rotations('adopted', { ...t, ...other })).toBe(adopted + 1)
  await other.app.close()
})

test('an unknown outcome and the loss it ends in are counted, with the age at which the token died', async () => {
  const host = await newVaultHost(t)
  await expireAccessToken(t, host)
  await rows(t, `UPDATE grant_tokens SET refreshed_at = now() - interval '2 hours' WHERE grant_id = $1`, [host.grantId])
  const [ambiguous, lost] = [await rotations('ambiguous'), await rotations('lost')]
  refreshFault(t, host, { type: 'reset' }, { effect: 'before' })
  expect(await mint(host)).toEqual([502, 'zoom_unavailable'])
  await endLease(t, host)
  expect(await mint(host)).toEqual([404, 'reconnect_required'])
  expect([await rotations('ambiguous'), await rotations('lost')]).toEqual([ambiguous + 1, lost + 1])
  const ages = await samples('latchkey_refresh_token_age_at_death_seconds_bucket')
  const at = (le: string) =>
    ages[`latchkey_refresh_token_age_at_death_seconds_bucket{le="${le}",reason="rotation_lost"}`]
  expect([at('3600'), at('21600')]).toEqual([0, 1])
  const durations = await samples('latchkey_refresh_duration_seconds_count')
  expect(durations['latchkey_refresh_duration_seconds_count{outcome="lost"}']).toBe(1)
})

test('every refresh leaves one line with grant, attempt, generation, outcome and duration, and no token', async () => {
  const host = await newVaultHost(t)
  await expireAccessToken(t, host)
  expect(await mint(host)).toEqual([200])
  const lines = t.log.filter((line) => line.includes('a refresh ended') && line.includes(host.grantId))
  expect(lines.map((line) => JSON.parse(line))).toEqual([
    {
      level: 'info',
      time: expect.any(String),
      grant_id: host.grantId,
      attempt_id: expect.any(String),
      gen: 1,
      outcome: 'ok',
      duration_ms: expect.any(Number),
      stored_at: expect.any(String),
      message: 'a refresh ended',
    },
  ])
  const [attempt] = await rows<{ id: string }>(t, 'SELECT id FROM refresh_attempts WHERE grant_id = $1', [host.grantId])
  expect(lines[0]).toContain(String(attempt?.id))
})

test('a grant that was condemned is no refresh in doubt, for the metrics and for the doctor', async () => {
  const host = await newVaultHost(t)
  t.zoom.revokeGrant(host.email)
  await expireAccessToken(t, host)
  expect(await mint(host)).toEqual([404, 'reconnect_required'])
  await rows(t, `UPDATE grant_tokens SET intent_at = now() - interval '1 day' WHERE intent_at IS NOT NULL`)
  await t.services.grantUpkeep.countAcrossTenants()
  expect(await samples('latchkey_oldest_open_intent_seconds')).toEqual({ latchkey_oldest_open_intent_seconds: 0 })
  expect((await t.services.doctor.diagnose({ isUnnoted: false })).openIntents).toBe(0)
})
