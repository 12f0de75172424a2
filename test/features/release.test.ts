import { afterAll, describe, expect, test } from 'vitest'
import { newTenant, revocations, rows } from '../helpers/connect.ts'
import { newTenantWithKey, outcomeOf, refusalOf, unique } from '../helpers/management.ts'
import { startPostgresProxy } from '../helpers/postgres-proxy.ts'
import { isTakenByZoom, remainsOf } from '../helpers/release.ts'
import {
  endLease,
  expireAccessToken,
  grantRow,
  liveRefreshToken,
  newVaultHost,
  refreshCalls,
  refreshFault,
  secondReplica,
  told,
  twoReplicas,
  type VaultHost,
} from '../helpers/vault.ts'

const { t, other } = await twoReplicas()
const proxy = await startPostgresProxy(t.databaseUrl)
/** Whose way to the database can be stopped. */
const far = await secondReplica(t, { DATABASE_URL: proxy.url, DATABASE_POOL_MAX: '3' })
afterAll(async () => {
  await far.app.close()
  await proxy.close()
})

type At = Pick<typeof t, 'app'>
function release({ hostId }: { hostId: string }, headers: Record<string, string> = {}, at: At = t, key = '') {
  const bearer = { authorization: `Bearer ${key || t.settings.OPERATOR_API_KEY}` }
  return at.app.inject({ method: 'POST', url: `/v1/hosts/${hostId}/release`, headers: { ...bearer, ...headers } })
}
const once = () => ({ 'idempotency-key': unique() })
const GONE = { status: 'disconnected', isIntentOpen: false, leaseSeconds: 0 }
const mint = async (host: VaultHost) => told(await t.bot(host.joinUrl))

const NOTHING = { refresh_ct: null, access_ct: null, email: null, display_name: null, host: false }

async function expectReleased(answer: Awaited<ReturnType<typeof release>>, host: VaultHost) {
  expect([answer.statusCode, answer.json().refresh_token]).toEqual([200, liveRefreshToken(t, host)])
  expect([await grantRow(t, host), await remainsOf(t, host)]).toMatchObject([GONE, NOTHING])
}

/** A release that has seen how the grant stands, and goes on from there. */
async function lookedAt(host: VaultHost) {
  const look = proxy.hold({ statement: 'hand_over_state', when: 'response' })
  const released = release(host, {}, far)
  await look.reached
  look.release()
  return { released }
}

/** A mint in the other replica whose refresh hangs: Zoom has done its work (`before`), or does it once let go (`after`). */
async function hanging(host: VaultHost, effect: 'before' | 'after') {
  await expireAccessToken(t, host)
  const refresh = refreshFault(t, host, { type: 'hold' }, { effect })
  const answer = other.bot(host.joinUrl).then(told)
  await refresh.hit()
  return { answer, letGo: () => refresh.release() }
}

describe('releasing a host', () => {
  test('gives the living pair out once and forgets host, tokens and person, without a word to Zoom', async () => {
    const host = await newVaultHost(t)
    const calls = t.zoom.log().length
    const answer = await release(host)
    const { access_token: accessToken, expires_at: expiresAt, ...rest } = answer.json()
    expect(Object.keys(rest)).toEqual(['refresh_token'])
    expect(t.zoom.issued.map(({ value }) => value)).toContain(accessToken)
    expect(Date.parse(expiresAt) - Date.now()).toBeGreaterThan(3_000_000)
    expect(t.zoom.log().length).toBe(calls)
    await expectReleased(answer, host)
    expect(outcomeOf(await t.api('GET', `/v1/hosts/${host.hostId}`))).toEqual([404, 'not_found'])
    expect(outcomeOf(await release(host))).toEqual([404, 'not_found'])
    expect(await mint(host)).toEqual([404, 'host_not_connected'])
    expect(answer.headers['cache-control']).toBe('no-store')
    expect(await isTakenByZoom(t, answer.json().refresh_token)).toBe(true)
  })

  test('takes the mappings found for it along and leaves those that the tenant made', async () => {
    const host = await newVaultHost(t)
    const tenantId = '00000000-0000-7000-8000-000000000001'
    await t.services.meetings.map(tenantId, '222000222', { externalUserId: host.externalUserId }, 'event')
    await release(host)
    expect((await t.api('GET', `/v1/meetings/${host.meeting}`)).json()).toMatchObject({ host_id: null, source: 'api' })
    expect(outcomeOf(await t.api('GET', '/v1/meetings/222000222'))).toEqual([404, 'not_found'])
  })

  test('leaves a line in the audit trail that names who, what and where, and holds neither token nor person', async () => {
    const host = await newVaultHost(t)
    const answer = await release(host)
    const lines = await rows(t, 'SELECT * FROM audit_events WHERE subject_id = $1', [host.hostId])
    expect(lines).toMatchObject([{ actor: 'operator', action: 'host.released', request_id: expect.any(String) }])
    expect(lines[0]?.details).toMatchObject({ grant_id: host.grantId, gen: 1 })
    const texts = [JSON.stringify(lines), t.log.join('')]
    const { refresh_token: refreshToken, access_token: accessToken } = answer.json()
    for (const text of texts)
      for (const secret of [refreshToken, accessToken, host.email]) expect(text).not.toContain(secret)
  })

  test('takes the operator’s key alone, and acts for the tenant that the header names', async () => {
    const tenant = await newTenantWithKey(t, ['hosts:read', 'hosts:write', 'hosts:import', 'tokens:read'])
    const email = `${unique()}@example.com`
    t.zoom.addUser({ email })
    const { id } = await t.connectHost('user', email, { 'latchkey-tenant': tenant.id })
    expect(outcomeOf(await release({ hostId: id }, {}, t, tenant.key))).toEqual([403, 'forbidden'])
    const unknown = refusalOf(await release({ hostId: crypto.randomUUID() }))
    expect(refusalOf(await release({ hostId: id }))).toEqual(unknown) // of the tenant default, that is
    expect((await release({ hostId: id }, { 'latchkey-tenant': tenant.id })).statusCode).toBe(200)
    expect(outcomeOf(await release({ hostId: 'x' }))).toEqual([400, 'invalid_request'])
  })

  test('is refused while anybody else links the grant: another tenant’s host, or an organization', async () => {
    const host = await newVaultHost(t)
    const { headers } = await newTenant(t)
    const theirs = await t.connectHost('theirs', host.email, headers)
    expect(outcomeOf(await release(host))).toEqual([409, 'grant_shared'])
    await t.api('DELETE', `/v1/hosts/${theirs.id}`, { headers })
    const link = { externalUserId: 'admin', grantId: host.grantId, consentEpoch: 0, zoomAccountId: unique() }
    const { id } = await newTenant(t)
    const { organizationId } = await t.services.organizations.link(id, link)
    expect(outcomeOf(await release(host))).toEqual([409, 'grant_shared'])
    expect(await mint(host)).toEqual([200])
    await t.services.organizations.remove(id, organizationId, { revoke: true })
    await rows(t, `UPDATE grants SET connected_at = now() - interval '2 minutes' WHERE id = $1`, [host.grantId])
    await expectReleased(await release(host), host)
  })

  test('waits for somebody who is just connecting the same user elsewhere, and is then refused', async () => {
    const host = await newVaultHost(t)
    const { headers } = await newTenant(t)
    const me = t.zoom.setFault({ match: { path: '/v2/users/me' }, action: { type: 'hold' } })
    const link = await t.connectLink({ external_user_id: 'theirs' }, headers)
    const connected = t.follow(link, host.email)
    await me.hit()
    const answer = await lookedAt(host)
    me.release()
    expect((await connected).statusCode).toBe(200)
    expect(outcomeOf(await answer.released)).toEqual([409, 'grant_shared'])
  })

  test('of a host that must reconnect says so and changes nothing', async () => {
    const host = await newVaultHost(t)
    t.zoom.revokeGrant(host.email)
    await expireAccessToken(t, host)
    await mint(host)
    expect(outcomeOf(await release(host))).toEqual([404, 'reconnect_required'])
    expect((await t.api('GET', `/v1/hosts/${host.hostId}`)).json().status).toBe('reconnect_required')
  })

  test('of a host whose user gave the grant again through another tenant only says so too', async () => {
    const host = await newVaultHost(t)
    await rows(t, `UPDATE grant_tokens SET consent_epoch = 1, consent_reason = 'deauthorized' WHERE grant_id = $1`, [
      host.grantId,
    ])
    expect(outcomeOf(await release(host))).toEqual([404, 'reconnect_required'])
  })

  test('in a copy of another installation’s database gives nothing out', async () => {
    const host = await newVaultHost(t)
    const copy = await secondReplica(t, { INSTALLATION_ID: 'staging' })
    expect(outcomeOf(await release(host, {}, copy))).toEqual([503, 'foreign_database'])
    await copy.app.close()
    expect(await mint(host)).toEqual([200])
  })
})

describe('a release and a refresh of the same grant', () => {
  test('a refresh in flight is waited for: the pair given out is the new one', async () => {
    const host = await newVaultHost(t)
    const slow = await hanging(host, 'before')
    const answer = await lookedAt(host)
    expect((await grantRow(t, host)).status).toBe('connected')
    slow.letGo()
    await expectReleased(await answer.released, host)
    expect(await slow.answer).toEqual([200])
    expect(refreshCalls(t, host)).toBe(1)
  })

  test('one whose outcome is unknown is settled first: what Zoom never got is refreshed, and that pair given out', async () => {
    const host = await newVaultHost(t)
    await expireAccessToken(t, host)
    refreshFault(t, host, { type: 'reset' }, { effect: 'never', times: 1 })
    expect(await mint(host)).toEqual([502, 'zoom_unavailable'])
    expect(await grantRow(t, host)).toMatchObject({ isIntentOpen: true })
    await endLease(t, host)
    t.zoom.clearFaults()
    await expectReleased(await release(host), host)
  })

  test('one whose answer was lost for good leaves nothing to give: the host must reconnect, and stays', async () => {
    const host = await newVaultHost(t)
    const slow = await hanging(host, 'before')
    await endLease(t, host)
    expect(outcomeOf(await release(host))).toEqual([404, 'reconnect_required'])
    expect(await grantRow(t, host)).toMatchObject({ status: 'reconnect_required', reason: 'rotation_lost' })
    slow.letGo() // the holder was only late: its pair heals the grant, which can be released then
    await slow.answer
    await expect.poll(async () => (await grantRow(t, host)).status).toBe('connected')
    await expectReleased(await release(host), host)
  })

  test('one that comes late, after the release, neither brings tokens back nor revokes what was given out', async () => {
    const host = await newVaultHost(t)
    const before = revocations(t).length
    const slow = await hanging(host, 'after')
    await endLease(t, host)
    const answer = await release(host)
    await expectReleased(answer, host)
    slow.letGo()
    await slow.answer
    await expect.poll(async () => (await grantRow(t, host)).attempts).not.toContain('open')
    expect([await grantRow(t, host), await remainsOf(t, host)]).toMatchObject([GONE, NOTHING])
    expect(revocations(t).length).toBe(before)
    expect(await isTakenByZoom(t, answer.json().refresh_token)).toBe(true)
  })

  test('a pair from before the database was restored is proven by a refresh before it is given out', async () => {
    const host = await newVaultHost(t)
    await rows(
      t,
      `INSERT INTO database_lineages (number, kind, identity, is_change, first_seen_at)
       SELECT max(number) + 1, l.kind, (SELECT identity FROM database_lineages ORDER BY number DESC LIMIT 1), true, now()
         FROM database_lineages l GROUP BY l.kind`,
    )
    await expectReleased(await release(host), host)
    expect(refreshCalls(t, host)).toBe(1)
  })

  test('ten releases at once give the pair to one of them', async () => {
    const host = await newVaultHost(t)
    const answers = await Promise.all(
      Array.from({ length: 10 }, (_, index) => release(host, {}, index % 2 ? t : other)),
    )
    expect(answers.map(({ statusCode }) => statusCode).sort()).toEqual([200, ...Array(9).fill(404)])
  })

  test('mints beside it get a token or hear that nobody is connected, nothing else', async () => {
    const host = await newVaultHost(t)
    const mints = Promise.all(Array.from({ length: 30 }, (_, index) => (index % 2 ? t : other).bot(host.joinUrl)))
    await expectReleased(await release(host), host)
    const answers = (await mints).map(told).map((each) => each.join(' '))
    expect(new Set(['200', '404 host_not_connected', ...answers]).size).toBe(2)
  })
})

describe('a pair that is given out is not lost', () => {
  test('the same Idempotency-Key gives it again, in another replica too', async () => {
    const host = await newVaultHost(t)
    const headers = once()
    const first = await release(host, headers)
    const again = await release(host, headers, other)
    expect([again.statusCode, again.body, again.headers['idempotency-replayed']]).toEqual([200, first.body, 'true'])
    expect(again.headers['content-type']).toBe(first.headers['content-type'])
  })

  test('also where nothing came after the commit that forgot it: the answer was kept in that commit', async () => {
    const host = await newVaultHost(t)
    const live = liveRefreshToken(t, host)
    const headers = once()
    const held = proxy.hold({ statement: 'hand_over_forget', when: 'response' })
    const cutShort = release(host, headers, far)
    await held.reached
    expect(await grantRow(t, host)).toMatchObject(GONE) // committed, and as far as anybody can tell its process is dead
    const again = await release(host, headers, other)
    expect([again.statusCode, again.json().refresh_token]).toEqual([200, live])
    held.release()
    expect((await cutShort).json()).toEqual(again.json())
  })

  test.each([
    ['whose answer is lost: what was committed is found, and given out', 'response'],
    ['that never arrives: it is sent again', 'request'],
  ] as const)('nor by a commit %s', async (_, when) => {
    const host = await newVaultHost(t)
    const lost = proxy.lose({ statement: 'hand_over_forget', when })
    const answer = release(host, {}, far)
    await lost
    await expectReleased(await answer, host)
  })

  test('nor where it does not open: nothing is forgotten then', async () => {
    const host = await newVaultHost(t)
    const [kept] = await rows(t, 'SELECT access_ct FROM grant_tokens WHERE grant_id = $1', [host.grantId])
    const spoil = `UPDATE grant_tokens SET access_ct = set_byte(access_ct, 39, get_byte(access_ct, 39) # 1) WHERE grant_id = $1`
    await rows(t, spoil, [host.grantId])
    expect((await release(host)).statusCode).toBe(500)
    expect(await grantRow(t, host)).toMatchObject({ status: 'connected', gen: 1 })
    await rows(t, 'UPDATE grant_tokens SET access_ct = $2 WHERE grant_id = $1', [host.grantId, kept?.access_ct])
    await expectReleased(await release(host), host)
  })
})
