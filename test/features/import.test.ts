import { expect, test } from 'vitest'
import { revocations, rows } from '../helpers/connect.ts'
import { authorizeElsewhere, importStates, newElsewhere, newImporter, presented } from '../helpers/import.ts'
import { newKey } from '../helpers/management.ts'
import { vaultApp } from '../helpers/vault.ts'

const t = await vaultApp()

test('an imported host is connected at once, under its own id, and its token is redeemed once', async () => {
  const tenant = await newImporter(t)
  const host = await newElsewhere(t)
  const [row] = await tenant.importAll([host])
  expect(row).toEqual({ external_user_id: host.externalUserId, host_id: expect.any(String), status: 'connected' })
  expect(await tenant.hosts()).toMatchObject([
    { id: row?.host_id, external_user_id: host.externalUserId, email: host.email, status: 'connected' },
  ])
  expect(presented(t, host)).toBe(1)
  expect(t.zoom.liveRefreshToken(host.email, 'simulator-client-id')).not.toBe(host.refreshToken)
})

test('a repeated import gives the same answer and presents nothing to Zoom again', async () => {
  const tenant = await newImporter(t)
  const batch = [await newElsewhere(t), await newElsewhere(t)]
  const first = await tenant.importAll(batch)
  expect(await tenant.importAll(batch)).toEqual(first)
  expect(batch.map((host) => presented(t, host))).toEqual([1, 1])
})

test('answers stand in the order of the rows, whatever becomes of each', async () => {
  const tenant = await newImporter(t)
  const [good, dead] = [await newElsewhere(t), await newElsewhere(t)]
  t.zoom.revokeGrant(dead.email)
  const answer = await tenant.importAll([dead, good])
  expect(answer).toEqual([
    { external_user_id: dead.externalUserId, status: 'rejected', code: 'rejected_by_zoom' },
    { external_user_id: good.externalUserId, status: 'connected', host_id: expect.any(String) },
  ])
})

test('a token that Zoom refuses leaves no host and no grant, and is not presented again', async () => {
  const tenant = await newImporter(t)
  const dead = await newElsewhere(t)
  t.zoom.revokeGrant(dead.email)
  const before = presented(t, dead)
  const answers = [await tenant.importAll([dead]), await tenant.importAll([dead])]
  expect(answers.map(([row]) => [row?.status, row?.code, row?.host_id])).toEqual([
    ['rejected', 'rejected_by_zoom', undefined],
    ['rejected', 'rejected_by_zoom', undefined],
  ])
  expect(await tenant.hosts()).toEqual([])
  expect(presented(t, dead) - before).toBe(1)
})

test('another tenant that brings a token already imported learns nothing, and Zoom is not asked', async () => {
  const [tenant, stranger] = [await newImporter(t), await newImporter(t)]
  const host = await newElsewhere(t)
  await tenant.importAll([host])
  expect(await stranger.importAll([host])).toEqual([
    { external_user_id: host.externalUserId, status: 'rejected', code: 'rejected_by_zoom' },
  ])
  expect(presented(t, host)).toBe(1)
  expect(await stranger.hosts()).toEqual([])
})

test('of two rows of one user only the first counts, and twins share its outcome', async () => {
  const tenant = await newImporter(t)
  const [one, other] = [await newElsewhere(t), await newElsewhere(t)]
  const rowsOf = await tenant.importAll([
    one,
    one,
    { ...other, externalUserId: one.externalUserId },
    { ...one, externalUserId: 'somebody-else' },
  ])
  expect(rowsOf.map(({ status, code }) => code ?? status)).toEqual(['connected', 'connected', 'duplicate', 'duplicate'])
  expect([presented(t, one), presented(t, other)]).toEqual([1, 0])
})

test('a user under whom another Zoom user is connected is refused with the token unspent', async () => {
  const tenant = await newImporter(t)
  const [first, second] = [await newElsewhere(t), await newElsewhere(t)]
  await tenant.importAll([first])
  const [row] = await tenant.importAll([{ ...second, externalUserId: first.externalUserId }])
  expect(row).toMatchObject({ status: 'rejected', code: 'other_zoom_user' })
  expect(presented(t, second)).toBe(0)
  expect((await tenant.importAll([second]))[0]?.status).toBe('connected')
})

test('a user who is connected under another id is refused: with the token unspent where its claims tell', async () => {
  const tenant = await newImporter(t)
  const host = await newElsewhere(t)
  await tenant.importAll([host])
  const again = { ...host, externalUserId: 'another-id', refreshToken: await authorizeElsewhere(t, host.email) }
  const before = presented(t, host)
  expect((await tenant.importAll([again]))[0]).toMatchObject({ status: 'rejected', code: 'already_connected' })
  expect(presented(t, host)).toBe(before)
})

test('an older token of a connected user is not presented: the living grant goes on, even where Zoom punishes reuse', async () => {
  t.zoom.setModes({ familyRevocation: true })
  const tenant = await newImporter(t)
  const host = await newElsewhere(t)
  await t.connectHost(host.externalUserId, host.email, tenant.headers)
  await rows(t, `UPDATE grant_tokens SET refreshed_at = now() + interval '2 minutes'`)
  const [row] = await tenant.importAll([host])
  expect(row).toMatchObject({ status: 'connected', host_id: (await tenant.hosts())[0]?.id })
  expect(presented(t, host)).toBe(0)
  expect(t.zoom.liveRefreshToken(host.email, 'simulator-client-id')).not.toBeNull()
})

test('a token that names a user whom another tenant has connected since connects nobody, and is not presented', async () => {
  const [tenant, other] = [await newImporter(t), await newImporter(t)]
  const host = await newElsewhere(t)
  await t.connectHost('theirs', host.email, other.headers)
  await rows(t, `UPDATE grant_tokens SET refreshed_at = now() + interval '2 minutes'`)
  expect(await tenant.importAll([host])).toMatchObject([{ status: 'rejected', code: 'rejected_by_zoom' }])
  expect(presented(t, host)).toBe(0)
  expect(await tenant.hosts()).toEqual([])
})

test('a newer token of a host that must reconnect connects it again under its id', async () => {
  const tenant = await newImporter(t)
  const host = await newElsewhere(t)
  const [first] = await tenant.importAll([host])
  await rows(
    t,
    `UPDATE grant_tokens SET status = 'reconnect_required', status_reason = 'rotation_lost'
      WHERE grant_id = (SELECT grant_id FROM hosts WHERE id = $1)`,
    [first?.host_id],
  )
  const [again] = await tenant.importAll([{ ...host, refreshToken: await authorizeElsewhere(t, host.email) }])
  expect(again).toEqual(first)
  expect(await tenant.hosts()).toMatchObject([{ status: 'connected' }])
})

test('a token whose host was deleted since is spent and says so', async () => {
  const tenant = await newImporter(t)
  const host = await newElsewhere(t)
  const [first] = await tenant.importAll([host])
  await t.api('DELETE', `/v1/hosts/${first?.host_id}`, { key: tenant.key })
  expect(await tenant.importAll([host])).toMatchObject([{ status: 'rejected', code: 'already_redeemed' }])
  expect(revocations(t).length).toBeGreaterThan(0)
})

test('only a key with hosts:import, or the operator’s, may import', async () => {
  const tenant = await newImporter(t)
  const host = await newElsewhere(t)
  const body = { hosts: [{ external_user_id: host.externalUserId, refresh_token: host.refreshToken }] }
  const usual = await newKey(t, tenant.id)
  expect((await t.api('POST', '/v1/hosts/import', { key: usual, body })).statusCode).toBe(403)
  const byOperator = await t.api('POST', '/v1/hosts/import', { body, headers: tenant.headers })
  expect(byOperator.json().data).toMatchObject([{ status: 'connected' }])
  const [line] = await rows(
    t,
    `SELECT actor, details FROM audit_events WHERE action = 'host.imported' AND tenant_id = $1`,
    [tenant.id],
  )
  expect(line).toEqual({ actor: 'operator', details: {} })
})

test('more than 200 hosts, none, unknown fields and tokens that are none are 400; 200 with Zoom’s longest tokens are not', async () => {
  const tenant = await newImporter(t)
  const many = Array.from({ length: 201 }, (_, i) => ({ external_user_id: `u${i}`, refresh_token: `t${i}` }))
  const bad = [many, [], [{ ...many[0], email: 'x' }], [{ external_user_id: 'a', refresh_token: 'with space' }]]
  for (const hosts of bad) expect((await tenant.post(hosts)).statusCode).toBe(400)
  const long = many.slice(0, 200).map((row) => ({ ...row, refresh_token: row.refresh_token.padEnd(2000, 'x') }))
  expect((await tenant.post(long)).statusCode).toBe(200)
})

test('in another installation’s database an import is 503 and spends nothing', async () => {
  const tenant = await newImporter(t)
  const hosts = [{ external_user_id: 'a', refresh_token: 'x' }]
  await rows(t, `UPDATE installations SET installation_id = 'another'`)
  await t.services.installation.refresh()
  const refused = await tenant.post(hosts)
  await rows(t, `UPDATE installations SET installation_id = 'development'`)
  await t.services.installation.refresh()
  expect([refused.statusCode, refused.json().code]).toEqual([503, 'foreign_database'])
})

test('a tenant that is deleted takes along what it has imported and not yet linked: the grant is let go', async () => {
  const tenant = await newImporter(t)
  const host = await newElsewhere(t)
  const away = t.zoom.setFault({
    match: { path: '/v2/users/me', user_id: host.email },
    action: { type: 'status', status: 503 },
    times: -1,
  })
  expect(await tenant.importAll([host])).toMatchObject([{ status: 'deferred', code: 'zoom_unavailable' }])
  away.clear()
  expect((await t.api('DELETE', `/v1/tenants/${tenant.id}`)).statusCode).toBe(204)
  expect(t.zoom.liveRefreshToken(host.email, 'simulator-client-id')).toBeNull()
})

test('a tenant that is deleted takes its imports along', async () => {
  const tenant = await newImporter(t)
  await tenant.importAll([await newElsewhere(t)])
  expect((await t.api('DELETE', `/v1/tenants/${tenant.id}`)).statusCode).toBe(204)
  expect(await importStates(t, tenant.id)).toEqual([])
})

test('no refresh token, old or new, and no hash of one is in the log', async () => {
  const tenant = await newImporter(t)
  const host = await newElsewhere(t)
  await tenant.importAll([host])
  const log = t.log.join('')
  expect(log).toContain('a refresh token was imported')
  for (const { value } of t.zoom.issued) expect(log.includes(value)).toBe(false)
  const [row] = await rows<{ hash: string }>(
    t,
    `SELECT encode(token_hash, 'hex') AS hash FROM imported_tokens WHERE tenant_id = $1`,
    [tenant.id],
  )
  expect(log).not.toContain(row?.hash)
})
