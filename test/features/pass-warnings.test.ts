import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { startTestApp, type TestApp } from '../helpers/app.ts'
import { HOST_SCOPES, newTenantWithKey, seedHost, seedOrganization, unique } from '../helpers/management.ts'

let t: TestApp

beforeAll(async () => {
  t = await startTestApp({ env: { PUBLIC_BASE_URL: 'https://latchkey.example.com' } })
})
afterAll(() => t.stop())

async function newTenant(from = t) {
  const tenant = await newTenantWithKey(from)
  const warned = async (body: Record<string, unknown>) => {
    const created = await tenant.call('POST', '/v1/passes', { meeting: '85996249517', ...body })
    expect(created.statusCode).toBe(201)
    return created.json().warnings.map(({ code }: { code: string }) => code)
  }
  return { ...tenant, warned, host: await seedHost(from, tenant.id, 'alice') }
}
const alice = { external_user_id: 'alice' }

describe('a pass is warned of', () => {
  test('nothing when nothing is wrong', async () => {
    const { warned } = await newTenant()
    expect(await warned({ host: alice })).toEqual([])
    expect(await warned({ host: alice, on_behalf_of: alice })).toEqual([])
    expect(await warned({ kinds: ['zak'] })).toEqual([])
  })

  test('host_unknown where nobody is connected under a name, or no host is known at all', async () => {
    const { id, call, warned } = await newTenant()
    expect(await warned({ meeting: '111111111' })).toEqual(['host_unknown'])
    expect(await warned({ meeting: '111111111', host: { external_user_id: 'later' } })).toEqual(['host_unknown'])
    expect(await warned({ host: alice, on_behalf_of: [alice, { external_user_id: 'later' }] })).toContain(
      'host_unknown',
    )
    const organization = await seedOrganization(t, id, unique())
    await call('PUT', '/v1/meetings/222222222', { organization_id: organization.id })
    expect(await warned({ meeting: '222222222', on_behalf_of: alice })).toEqual([])
    expect(await warned({ meeting: '222222222' })).toEqual(['host_unknown'])
  })

  test('obf_user_is_not_host where the OBF user is another than the meeting’s host', async () => {
    const { id, warned } = await newTenant()
    await seedHost(t, id, 'bob')
    expect(await warned({ host: alice, on_behalf_of: { external_user_id: 'bob' } })).toEqual(['obf_user_is_not_host'])
    expect(await warned({ host: alice, on_behalf_of: { external_user_id: 'bob' }, kinds: ['join', 'zak'] })).toEqual([])
  })

  test('obf_and_zak, which exclude each other, and join_alone, which lets nobody into foreign meetings', async () => {
    const { warned } = await newTenant()
    expect(await warned({ host: alice, kinds: ['join', 'obf', 'zak'] })).toEqual(['obf_and_zak'])
    expect(await warned({ host: alice, kinds: ['join'] })).toEqual(['join_alone'])
  })

  test('reconnect_required of the host or the OBF user that it depends on', async () => {
    const { id, warned } = await newTenant()
    await seedHost(t, id, 'lost', { status: 'reconnect_required', statusReason: 'rotation_lost' })
    await seedHost(t, id, 'blocked', { blockedReason: 'admin_disabled' })
    expect(await warned({ meeting: '111111111', host: { external_user_id: 'lost' } })).toEqual(['reconnect_required'])
    expect(await warned({ host: alice, on_behalf_of: { external_user_id: 'lost' } })).toContain('reconnect_required')
    expect(await warned({ meeting: '111111112', host: { external_user_id: 'blocked' } })).toEqual([])
  })

  test('missing_scope of the user who makes the token of that kind', async () => {
    const { id, warned } = await newTenant()
    await seedHost(t, id, 'half', { scopes: HOST_SCOPES.slice(0, 1) })
    const half = { external_user_id: 'half' }
    expect(await warned({ meeting: '111111111', host: half })).toEqual(['missing_scope'])
    expect(await warned({ meeting: '111111111', host: half, kinds: ['join'] })).toEqual(['join_alone'])
    expect(await warned({ meeting: '111111111', host: half, on_behalf_of: alice })).toEqual(['obf_user_is_not_host'])
  })

  test('what a change brought about, too', async () => {
    const { call } = await newTenant()
    const { id } = (await call('POST', '/v1/passes', { meeting: '85996249517', host: alice })).json()
    const changed = await call('PATCH', `/v1/passes/${id}`, { meeting: '333333333' })
    expect(changed.json().warnings).toEqual([{ code: 'host_unknown', detail: expect.any(String) }])
  })
})

test('a pass of an installation that Recall cannot call, or would not be believed by, is warned of both', async () => {
  const bare = await startTestApp({ env: { RECALL_VERIFICATION_SECRETS: '' } })
  try {
    const { warned } = await newTenant(bare)
    expect(await warned({ host: alice })).toEqual(['public_url_not_https', 'no_recall_secret'])
  } finally {
    await bare.stop()
  }
})
