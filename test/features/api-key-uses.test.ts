import { expect, test } from 'vitest'
import { buildTestApp } from '../helpers/app.ts'
import { newKey, newTenantWithKey } from '../helpers/management.ts'
import { secondReplica } from '../helpers/vault.ts'

test('an operator sees when a key was last used, on whichever replica, and that one never was', async () => {
  const t = await buildTestApp()
  const { id, key, call } = await newTenantWithKey(t)
  await newKey(t, id)
  const shown = async () => {
    const { data } = (await t.api('GET', `/v1/tenants/${id}/api-keys`)).json()
    return data.map(({ last_used_at }: { last_used_at: string | null }) => last_used_at)
  }
  expect(await shown()).toEqual([null, null])
  await call('GET', '/v1/hosts')
  await t.services.apiKeys.noteUsesAcrossTenants()
  const [, first] = await shown()
  expect(Math.abs(Date.now() - Date.parse(first))).toBeLessThan(60_000)

  const other = await secondReplica(t)
  await other.app.inject({ url: '/v1/hosts', headers: { authorization: `Bearer ${key}` } })
  await other.app.close() // what it knew is written on its way out
  expect(Date.parse((await shown())[1])).toBeGreaterThan(Date.parse(first))
  expect((await shown())[0]).toBeNull()
})

test('a use that cannot be written down waits, and one of a key that was deleted holds up no other', async () => {
  const t = await buildTestApp()
  const [gone, kept] = [await newTenantWithKey(t), await newTenantWithKey(t)]
  await gone.call('GET', '/v1/hosts')
  await kept.call('GET', '/v1/hosts')
  await t.admin.query('ALTER TABLE api_keys RENAME COLUMN last_used_at TO away')
  await expect(t.services.apiKeys.noteUsesAcrossTenants()).rejects.toThrow()
  await t.admin.query('ALTER TABLE api_keys RENAME COLUMN away TO last_used_at')
  await t.api('DELETE', `/v1/tenants/${gone.id}`)
  await t.services.apiKeys.noteUsesAcrossTenants()
  const { data } = (await t.api('GET', `/v1/tenants/${kept.id}/api-keys`)).json()
  expect(data[0].last_used_at).toEqual(expect.any(String))
})
