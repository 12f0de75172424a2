import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { startTestApp, type TestApp } from '../helpers/app.ts'
import { newTenantWithKey, outcomeOf, seedGrant, seedOrganization, unique } from '../helpers/management.ts'

const ADMIN_SCOPES = ['meeting:read:local_recording_token:admin']
let t: TestApp

beforeAll(async () => {
  t = await startTestApp()
})
afterAll(() => t.stop())

const newTenant = () => newTenantWithKey(t)
const link = (tenantId: string, zoomAccountId: string, grantId: string) =>
  t.services.organizations.link(tenantId, { externalUserId: 'admin', grantId, consentEpoch: 0, zoomAccountId })

describe('an organization', () => {
  test('shows the account it stands for, needs the join scope alone, and is filtered as hosts are', async () => {
    const { id, call } = await newTenant()
    const account = unique()
    const organization = await seedOrganization(t, id, account, { scopes: ADMIN_SCOPES })
    const other = await seedOrganization(t, id, unique(), { scopes: [], status: 'reconnect_required' })
    const shown = (await call('GET', `/v1/organizations/${organization.id}`)).json()
    expect(shown).toMatchObject({ zoom_account_id: account, external_user_id: 'admin', missing_scopes: [] })
    expect(shown).toMatchObject({ status: 'connected', status_reason: null, degraded: ['profile', 'sync', 'settings'] })
    const found = async (query: string) =>
      (await call('GET', `/v1/organizations?${query}`)).json().data.map((row: { id: string }) => row.id)
    expect(await found('')).toEqual([other.id, organization.id])
    expect(await found(`zoom_account_id=${account}`)).toEqual([organization.id])
    expect(await found('status=reconnect_required&external_user_id=admin')).toEqual([other.id])
  })

  test('is gone after DELETE with the mappings that named it', async () => {
    const { id, call } = await newTenant()
    const organization = await seedOrganization(t, id, unique())
    await call('PUT', '/v1/meetings/444444444', { organization_id: organization.id })
    expect((await call('DELETE', `/v1/organizations/${organization.id}?revoke=false`)).statusCode).toBe(204)
    for (const method of ['GET', 'DELETE'] as const)
      expect(outcomeOf(await call(method, `/v1/organizations/${organization.id}`))).toEqual([404, 'not_found'])
    expect(outcomeOf(await call('GET', '/v1/meetings/444444444'))).toEqual([404, 'not_found'])
  })
})

describe('linking an account', () => {
  test('keeps the organization’s id whichever admin connects, and names the grant that was replaced', async () => {
    const { id } = await newTenant()
    const account = unique()
    const first = await seedOrganization(t, id, account)
    expect(await link(id, account, first.grantId)).toEqual({ organizationId: first.id, replacedGrantId: null })
    const second = await seedGrant(t)
    expect(await link(id, account, second)).toEqual({ organizationId: first.id, replacedGrantId: first.grantId })
  })

  test('follows an admin who moved to another account, but never takes one organization into another', async () => {
    const { id } = await newTenant()
    const [from, to] = [unique(), unique()]
    const organization = await seedOrganization(t, id, from)
    expect((await link(id, to, organization.grantId)).organizationId).toBe(organization.id)
    const other = await seedOrganization(t, id, from)
    await expect(link(id, to, other.grantId)).rejects.toMatchObject({ code: 'already_connected' })
  })

  test('ten times at once makes one organization', async () => {
    const { id, call } = await newTenant()
    const account = unique()
    const grants = await Promise.all(Array.from({ length: 10 }, () => seedGrant(t)))
    await Promise.allSettled(grants.map((grantId) => link(id, account, grantId)))
    expect((await call('GET', '/v1/organizations')).json().data).toHaveLength(1)
  })
})
