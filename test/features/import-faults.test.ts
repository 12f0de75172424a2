import { expect, test } from 'vitest'
import type { FaultInput } from '../../simulator/fault-schema.ts'
import { rows } from '../helpers/connect.ts'
import {
  authorizeElsewhere,
  type Elsewhere,
  endClaims,
  importStates,
  newElsewhere,
  newImporter,
  presented,
} from '../helpers/import.ts'
import { vaultApp } from '../helpers/vault.ts'

const t = await vaultApp()

const tokenFault = ({ email }: Elsewhere, action: FaultInput['action'], more: object = {}) =>
  t.zoom.setFault({ match: { grant_type: 'refresh_token', user_id: email }, action, ...more } as FaultInput)

/** One import of one host: how it ended, and why. */
async function told(tenant: Awaited<ReturnType<typeof newImporter>>, host: Elsewhere) {
  const [row] = await tenant.importAll([host])
  return row?.code ?? row?.status
}

test('limited by Zoom: deferred, nothing more is sent before Retry-After has passed, and the token is as good as before', async () => {
  const tenant = await newImporter(t)
  const [host, other] = [await newElsewhere(t), await newElsewhere(t)]
  tokenFault(host, { type: 'status', status: 429, headers: { 'retry-after': '1' } })
  expect(await told(tenant, host)).toBe('zoom_rate_limited')
  expect(await told(tenant, other)).toBe('zoom_rate_limited')
  expect([presented(t, host), presented(t, other)]).toEqual([1, 0])
  expect(await importStates(t, tenant.id)).toEqual([])
  await expect.poll(() => told(tenant, host), { timeout: 5000, interval: 300 }).toBe('connected')
  expect(await told(tenant, other)).toBe('connected')
})

test('an app that Zoom refuses: deferred, and the token is neither condemned nor spent', async () => {
  const tenant = await newImporter(t)
  const host = await newElsewhere(t)
  tokenFault(
    host,
    { type: 'status', status: 401, body: { error: 'invalid_client', reason: 'Invalid client_id' } },
    { times: 2 },
  )
  expect(await told(tenant, host)).toBe('app_misconfigured')
  expect(await importStates(t, tenant.id)).toEqual([])
  t.zoom.clearFaults()
  await expect.poll(() => told(tenant, host), { timeout: 8000, interval: 500 }).toBe('connected')
})

test('an admin’s block is no verdict on the token: refused for now, connected once the block is over', async () => {
  const tenant = await newImporter(t)
  const host = await newElsewhere(t)
  t.zoom.addUser({ email: host.email, admin_disabled: true })
  expect(await told(tenant, host)).toBe('host_blocked')
  t.zoom.addUser({ email: host.email, admin_disabled: false })
  expect(await told(tenant, host)).toBe('connected')
})

for (const [name, action, code] of [
  ['a 5xx', { type: 'status', status: 503 }, 'zoom_unavailable'],
  ['an answer cut off', { type: 'cut' }, 'zoom_unavailable'],
  ['HTML in place of an answer', { type: 'html' }, 'zoom_unavailable'],
] as const) {
  test(`${name} before Zoom took the token: deferred, not presented again while the claim lives, then recovered`, async () => {
    const tenant = await newImporter(t)
    const host = await newElsewhere(t)
    tokenFault(host, action, { effect: 'never' })
    expect(await told(tenant, host)).toBe(code)
    expect(await told(tenant, host)).toBe('busy')
    expect(presented(t, host)).toBe(1)
    await endClaims(t)
    expect(await told(tenant, host)).toBe('connected')
    expect(presented(t, host)).toBe(2)
  })
}

test('an answer lost after Zoom took the token: one recovery finds that the rotation was lost, and no host is left', async () => {
  const tenant = await newImporter(t)
  const host = await newElsewhere(t)
  tokenFault(host, { type: 'reset' }, { effect: 'before' })
  expect(await told(tenant, host)).toBe('zoom_unavailable')
  await endClaims(t)
  expect([await told(tenant, host), await told(tenant, host)]).toEqual(['rotation_lost', 'rotation_lost'])
  expect(presented(t, host)).toBe(2)
  expect(await tenant.hosts()).toEqual([])
})

test('no answer within 8 s: deferred as a time-out, and an answer that comes to nobody is settled by the next import', async () => {
  const tenant = await newImporter(t)
  const host = await newElsewhere(t)
  tokenFault(host, { type: 'hang' }, { effect: 'never' })
  expect(await told(tenant, host)).toBe('zoom_timeout')
  t.zoom.clearFaults()
  await endClaims(t)
  expect(await told(tenant, host)).toBe('connected')
}, 20_000)

test('a recovery that Zoom would not even hear leaves the older attempt open', async () => {
  const tenant = await newImporter(t)
  const host = await newElsewhere(t)
  tokenFault(host, { type: 'reset' }, { effect: 'before' })
  expect(await told(tenant, host)).toBe('zoom_unavailable')
  await endClaims(t)
  tokenFault(host, { type: 'status', status: 429, headers: { 'retry-after': '1' } })
  expect(await told(tenant, host)).toBe('zoom_rate_limited')
  expect(await importStates(t, tenant.id)).toEqual([{ state: 'claimed', code: null }])
  await expect.poll(() => told(tenant, host), { timeout: 5000, interval: 300 }).toBe('rotation_lost')
})

test('two calls at once with the same token present it once', async () => {
  const tenant = await newImporter(t)
  const host = await newElsewhere(t)
  const hold = tokenFault(host, { type: 'hold' })
  const first = told(tenant, host)
  await hold.hit(1)
  expect(await told(tenant, host)).toBe('busy')
  hold.release()
  expect(await first).toBe('connected')
  expect(presented(t, host)).toBe(1)
})

test('a process that died between the stored pair and the host: the next import only links, and no job lets go of the grant', async () => {
  const tenant = await newImporter(t)
  const host = await newElsewhere(t)
  const hold = t.zoom.setFault({
    match: { path: '/v2/users/me', user_id: host.email },
    action: { type: 'status', status: 503 },
    times: -1,
  })
  expect(await told(tenant, host)).toBe('zoom_unavailable')
  expect(await importStates(t, tenant.id)).toEqual([{ state: 'redeemed', code: null }])
  await rows(t, `UPDATE grants SET connected_at = now() - interval '1 hour'`)
  await rows(t, `UPDATE grant_tokens SET refreshed_at = now() - interval '1 hour'`)
  await t.services.grantUpkeep.releaseUnlinkedAcrossTenants(new AbortController().signal)
  hold.clear()
  expect(await told(tenant, host)).toBe('connected')
  expect(presented(t, host)).toBe(1)
}, 20_000)

test('what is refused after it was redeemed leaves no host, and its grant is let go', async () => {
  const tenant = await newImporter(t)
  const host = await newElsewhere(t)
  t.zoom.setFault({
    match: { path: '/v2/users/me', user_id: host.email },
    action: { type: 'set', fields: { id: 'SomebodyElse' } },
  })
  expect(await told(tenant, host)).toBe('connect_failed')
  expect(await tenant.hosts()).toEqual([])
  expect(t.zoom.liveRefreshToken(host.email, 'simulator-client-id')).toBeNull()
  expect(await importStates(t, tenant.id)).toEqual([{ state: 'rejected', code: 'connect_failed' }])
})

test('a grant that another tenant links keeps its new pair when the import of it is refused', async () => {
  const [tenant, other] = [await newImporter(t), await newImporter(t)]
  const host = await newElsewhere(t)
  await t.connectHost('theirs', host.email, other.headers)
  const fresh = { ...host, refreshToken: await authorizeElsewhere(t, host.email) }
  t.zoom.setFault({
    match: { path: '/v2/users/me', user_id: host.email },
    action: { type: 'set', fields: { id: 'SomebodyElse' } },
  })
  expect(await told(tenant, fresh)).toBe('connect_failed')
  const [theirs] = await other.hosts()
  expect(theirs).toMatchObject({ status: 'connected' })
  expect(t.zoom.liveRefreshToken(host.email, 'simulator-client-id')).not.toBeNull()
})

test('a database that is gone when the pair arrives is waited for, and the host is connected', async () => {
  const tenant = await newImporter(t)
  const host = await newElsewhere(t)
  const hold = tokenFault(host, { type: 'hold' })
  const answer = told(tenant, host)
  await hold.hit(1)
  await rows(t, 'ALTER TABLE grant_tokens RENAME TO grant_tokens_gone')
  hold.release()
  await expect.poll(() => t.log.join('').includes('tokens are not stored yet'), { timeout: 5000 }).toBe(true)
  await rows(t, 'ALTER TABLE grant_tokens_gone RENAME TO grant_tokens')
  expect(await answer).toBe('connected')
}, 20_000)

test('rows of tokens that no longer live are deleted after 90 days, and no others', async () => {
  const tenant = await newImporter(t)
  const [old, young] = [await newElsewhere(t), await newElsewhere(t)]
  await tenant.importAll([old])
  await rows(t, `UPDATE imported_tokens SET claimed_at = now() - interval '91 days' WHERE tenant_id = $1`, [tenant.id])
  await tenant.importAll([young])
  await t.services.imports.purgeAcrossTenants()
  expect(await importStates(t, tenant.id)).toEqual([{ state: 'linked', code: null }])
})
