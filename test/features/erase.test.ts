import { describe, expect, onTestFinished, test } from 'vitest'
import { type EraseOptions, erase } from '../../src/cli/erase.ts'
import type { TestApp } from '../helpers/app.ts'
import { revocations, rows } from '../helpers/connect.ts'
import { dump } from '../helpers/dump.ts'
import { newTenantWithKey, unique } from '../helpers/management.ts'
import { grantRow, liveRefreshToken, newVaultHost, secondReplica, vaultApp } from '../helpers/vault.ts'

const t = await vaultApp()

async function latchkeyErase(options: EraseOptions = {}, env: Record<string, string> = {}) {
  const lines: string[] = []
  const isErased = await erase({ ...t.settings, ...env }, options, (line) => lines.push(line))
  return { isErased, text: lines.join('\n') }
}
const verify = (options: EraseOptions = {}) => latchkeyErase({ verify: true, ...options })

/** A tenant with a connected host, and everything that a person may leave in it. */
async function livedIn() {
  const tenant = await newTenantWithKey(t)
  const mark = `mark${unique()}`
  const email = `${mark}@example.com`
  t.zoom.addUser({ email, display_name: `Name of ${mark}` })
  const meeting = String(300_000_000 + Math.floor(Math.random() * 1e8))
  t.zoom.addMeeting({ id: meeting, host: email })
  const headers = { 'latchkey-tenant': tenant.id }
  await t.follow(await t.connectLink({ external_user_id: `user-${mark}`, expected_email: email }, headers), email)
  await t.connectLink({ external_user_id: `other-${mark}`, expected_email: email }, headers)
  const once = { ...headers, 'idempotency-key': unique() }
  const body = { meeting, host: { external_user_id: `user-${mark}` }, metadata: { who: `meta-${mark}` } }
  const pass = (await t.api('POST', '/v1/passes', { body, headers: once })).json()
  expect((await t.bot(pass.join_token_url)).statusCode).toBe(200)
  await t.services.ledger.flush()
  const [host] = (await t.api('GET', '/v1/hosts', { headers })).json().data
  const [grant] = await rows<{ id: string; refresh: string; access: string; name: string }>(
    t,
    `SELECT g.id, encode(t.refresh_ct, 'hex') AS refresh, encode(t.access_ct, 'hex') AS access, g.display_name AS name
       FROM grants g JOIN grant_tokens t ON t.grant_id = g.id WHERE g.email = $1`,
    [email],
  )
  if (!grant) throw new Error('nobody was connected')
  return { ...tenant, mark, email, headers, hostId: String(host.id), grant, joinUrl: String(pass.join_token_url) }
}
const LATE = { displayName: 'Late', pmi: null, personalLink: null }
const tokensOf = (app: TestApp) => app.zoom.issued.map(({ value }) => value)

describe('what is deleted is gone from the database', () => {
  test('of a tenant a dump of every table holds neither token nor address nor name, and the command proves it', async () => {
    const gone = await livedIn()
    const before = await dump(t)
    for (const known of [gone.grant.refresh, gone.grant.access, gone.email, gone.grant.name, gone.mark, gone.id])
      expect(before).toContain(known)
    expect((await t.api('DELETE', `/v1/tenants/${gone.id}`)).statusCode).toBe(204)
    const after = await dump(t)
    const secrets = [gone.grant.refresh, gone.grant.access, gone.email, gone.grant.name, gone.mark]
    expect([...secrets, ...tokensOf(t)].filter((secret) => after.includes(secret))).toEqual([])
    expect(await dump(t, 'audit_events')).not.toContain(gone.id) // who deleted it stays known, by ids
    expect(await verify({ tenant: gone.id })).toEqual({
      isErased: true,
      text: `Nothing is left of the tenant ${gone.id} that should be gone.`,
    })
    expect(liveRefreshToken(t, gone as never)).toBeNull()
  })

  test('of a host likewise, with and without revoking; what the tenant itself wrote down stays', async () => {
    for (const query of ['', '?revoke=false']) {
      const gone = await livedIn()
      await rows(t, 'DELETE FROM connect_sessions WHERE tenant_id = $1', [gone.id])
      await t.api('DELETE', `/v1/hosts/${gone.hostId}${query}`, { headers: gone.headers })
      const after = await dump(t)
      const secrets = [gone.grant.refresh, gone.grant.access, gone.email, gone.grant.name]
      expect(secrets.filter((secret) => after.includes(secret))).toEqual([])
      expect((await verify({ host: gone.hostId })).isErased).toBe(true)
      expect(liveRefreshToken(t, gone as never) === null).toBe(query === '')
      expect(after).toContain(`meta-${gone.mark}`)
    }
  })

  test('of a host that was released too', async () => {
    const gone = await livedIn()
    await rows(t, 'DELETE FROM connect_sessions WHERE tenant_id = $1', [gone.id])
    const released = await t.api('POST', `/v1/hosts/${gone.hostId}/release`, { headers: gone.headers })
    expect(released.statusCode).toBe(200)
    const after = await dump(t)
    const secrets = [gone.grant.refresh, gone.grant.access, gone.email, gone.grant.name, released.json().refresh_token]
    expect(secrets.filter((secret) => after.includes(secret))).toEqual([])
    expect((await verify({ host: gone.hostId })).isErased).toBe(true)
  })

  test('of a tenant whose bots mint while it is deleted no line of the ledger is left', async () => {
    const gone = await livedIn()
    const mints = Array.from({ length: 60 }, () => t.bot(gone.joinUrl))
    const removed = t.api('DELETE', `/v1/tenants/${gone.id}`)
    mints.push(...Array.from({ length: 60 }, () => t.bot(gone.joinUrl)))
    expect((await removed).statusCode).toBe(204)
    await Promise.all(mints)
    await t.services.ledger.flush()
    expect(await rows(t, 'SELECT FROM mints WHERE tenant_id = $1', [gone.id])).toEqual([])
    expect((await verify({ tenant: gone.id })).isErased).toBe(true)
  })

  test('of a person whose grant is let go while Zoom is asked who it is nothing is noted any more', async () => {
    const host = await newVaultHost(t)
    await t.api('DELETE', `/v1/hosts/${host.hostId}`)
    await t.services.vault.noteProfile(host.grantId, { ...LATE, email: host.email })
    expect((await verify()).isErased).toBe(true)
  })
})

describe('latchkey erase --verify', () => {
  test('fails for a tenant and a host that are still there, and names every table that has them', async () => {
    const { id, hostId } = await livedIn()
    const tenant = await verify({ tenant: id })
    expect(tenant.isErased).toBe(false)
    for (const table of [
      'tenants',
      'hosts',
      'passes',
      'meetings',
      'mints',
      'api_keys',
      'connect_sessions',
      'data_keys',
    ])
      expect(tenant.text).toMatch(new RegExp(`^${table}: `, 'm'))
    expect((await verify({ host: hostId })).text).toMatch(/^hosts: 1 × the host itself/m)
  })

  const host = () => newVaultHost(t)
  const LEFTOVERS: [string, string, () => Promise<unknown>, boolean][] = [
    [
      'tokens of a grant that nobody links',
      'grant_tokens',
      async () => {
        const { hostId, grantId } = await host()
        await rows(t, 'DELETE FROM hosts WHERE id = $1', [hostId])
        await rows(t, `UPDATE grants SET connected_at = now() - interval '1 hour' WHERE id = $1`, [grantId])
        await rows(t, `UPDATE grant_tokens SET refreshed_at = now() - interval '1 hour' WHERE grant_id = $1`, [grantId])
      },
      true,
    ],
    [
      'a name on a grant that was let go',
      'grants',
      async () => {
        const { hostId, grantId } = await host()
        await t.api('DELETE', `/v1/hosts/${hostId}`)
        await rows(t, `UPDATE grants SET display_name = 'Somebody' WHERE id = $1`, [grantId])
      },
      true,
    ],
    [
      'a data key of nobody',
      'data_keys',
      () =>
        rows(
          t,
          `INSERT INTO data_keys (id, owner_id, kid, wrapped) SELECT gen_random_uuid(), gen_random_uuid(), 'test', '\\x01'`,
        ),
      true,
    ],
    [
      'a line of the ledger of a tenant that is gone',
      'mints',
      () =>
        rows(
          t,
          `INSERT INTO mints (id, tenant_id, kind, meeting_id, request_id)
           SELECT gen_random_uuid(), gen_random_uuid(), 'join', '123456789', 'x' FROM generate_series(1, 3)`,
        ),
      true,
    ],
    [
      'an answer kept for a tenant that is gone',
      'idempotency_keys',
      () =>
        rows(
          t,
          `INSERT INTO idempotency_keys (id, scope_id, key_hash, request_hash) SELECT gen_random_uuid(), gen_random_uuid(), '\\x01', '\\x01'`,
        ),
      true,
    ],
    [
      'an answer kept too long',
      'idempotency_keys',
      async () => {
        const headers = { 'idempotency-key': unique() }
        await t.api('POST', '/v1/tenants', { body: { name: 'Kept' }, headers })
        await rows(t, `UPDATE idempotency_keys SET created_at = now() - interval '25 hours'`)
      },
      true,
    ],
    [
      'an expected address past its time',
      'connect_sessions',
      async () => {
        await t.connectLink({ external_user_id: unique(), expected_email: 'someone@example.com' })
        await rows(t, `UPDATE connect_sessions SET expires_at = now() - interval '25 hours'`)
      },
      true,
    ],
    [
      'a browser’s address past its time',
      'connect_flows',
      async () => {
        await t.open(await t.connectLink({ external_user_id: unique() }))
        await rows(t, `UPDATE connect_flows SET expires_at = now() - interval '16 minutes'`)
      },
      true,
    ],
  ]
  test.each(LEFTOVERS)('finds %s, by table and id; latchkey erase clears it', async (_, table, leave) => {
    expect((await verify()).text).toBe('Nothing is left that should be gone.')
    await leave()
    const found = await verify()
    expect([found.isErased, found.text]).toEqual([false, expect.stringMatching(new RegExp(`^${table}: `, 'm'))])
    expect(found.text).not.toMatch(/Somebody|@example/)
    const { findings } = JSON.parse((await verify({ json: true })).text)
    expect(findings).toContainEqual({
      what: expect.any(String),
      table,
      count: expect.any(Number),
      ids: expect.any(Array),
    })
    expect((await latchkeyErase()).isErased).toBe(true)
    expect((await verify()).isErased).toBe(true)
  })

  test('finds what is left of a user who took the app away', async () => {
    const { grantId, hostId } = await host()
    const set = `UPDATE grant_tokens SET status = 'reconnect_required', status_reason = 'deauthorized' WHERE grant_id = $1`
    await rows(t, set, [grantId])
    for (const table of ['grant_tokens', 'grants'])
      expect((await verify()).text).toMatch(new RegExp(`^${table}: 1 × .*took away`, 'm'))
    await t.api('DELETE', `/v1/hosts/${hostId}`)
    expect((await verify()).isErased).toBe(true)
  })

  test('takes a consent whose link is on its way for no leftover', async () => {
    const { hostId } = await host()
    await rows(t, 'DELETE FROM hosts WHERE id = $1', [hostId])
    expect((await verify()).isErased).toBe(true)
    await rows(t, `UPDATE grants SET connected_at = now() - interval '1 hour'`)
    await rows(t, `UPDATE grant_tokens SET refreshed_at = now() - interval '1 hour'`)
    await latchkeyErase()
  })
})

describe('latchkey erase', () => {
  test('revokes at Zoom what nobody links, however many there are, and says what it did', async () => {
    const hosts = await Promise.all(Array.from({ length: 12 }, () => newVaultHost(t)))
    const before = revocations(t).length
    await rows(t, 'DELETE FROM hosts WHERE id = ANY($1)', [hosts.map(({ hostId }) => hostId)])
    await rows(t, `UPDATE grants SET connected_at = now() - interval '1 hour'`)
    await rows(t, `UPDATE grant_tokens SET refreshed_at = now() - interval '1 hour'`)
    const said = await latchkeyErase()
    expect(said).toMatchObject({ isErased: true, text: expect.stringContaining('erased: 12 grants') })
    expect(revocations(t).length - before).toBe(12)
  })

  test('revokes nothing in a copy of another installation’s database', async () => {
    const host = await newVaultHost(t)
    await rows(t, 'DELETE FROM hosts WHERE id = $1', [host.hostId])
    await rows(t, `UPDATE grants SET connected_at = now() - interval '1 hour'`)
    await rows(t, `UPDATE grant_tokens SET refreshed_at = now() - interval '1 hour'`)
    const calls = t.zoom.log().length
    expect((await latchkeyErase({}, { INSTALLATION_ID: 'staging' })).isErased).toBe(false)
    expect([t.zoom.log().length - calls, (await grantRow(t, host)).status]).toEqual([0, 'connected'])
    expect((await latchkeyErase()).isErased).toBe(true)
  })

  test('leaves alone what is in use', async () => {
    const { id, hostId, grant } = await livedIn()
    await latchkeyErase()
    expect((await t.api('GET', `/v1/hosts/${hostId}`, { headers: { 'latchkey-tenant': id } })).statusCode).toBe(200)
    expect(await rows(t, 'SELECT FROM data_keys WHERE owner_id = ANY($1)', [[id, grant.id]])).toHaveLength(2)
    const replica = await secondReplica(t) // with no data key in memory
    onTestFinished(() => replica.app.close())
    const pass = await t.createPass({ meeting: '333333333', host: { host_id: hostId } }, { 'latchkey-tenant': id })
    expect((await replica.bot(pass.join_token_url)).statusCode).not.toBe(500)
  })

  test('takes --tenant and --host only with --verify, and only as ids', async () => {
    await expect(latchkeyErase({ tenant: crypto.randomUUID() })).rejects.toThrow('go with --verify')
    await expect(verify({ host: 'alice' })).rejects.toThrow('--host takes an id')
  })
})
