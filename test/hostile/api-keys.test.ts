import { crc32 } from 'node:zlib'
import { describe, expect, test } from 'vitest'
import { OPERATOR_KEY } from '../helpers/app.ts'
import { exchange, hostileApp, http, JSON_LINE, KEY_LINE, type Row } from '../helpers/hostile.ts'
import { newKey, newTenantWithKey } from '../helpers/management.ts'
import { secondReplica } from '../helpers/vault.ts'

const h = await hostileApp()
const { t } = h
const tenant = await newTenantWithKey(t)
const other = await newTenantWithKey(t)
const withChecksum = (text: string) => text + crc32(text).toString(16).padStart(8, '0')
const [prefix, id, secret] = [tenant.key.slice(0, 3), tenant.key.slice(3, 35), tenant.key.slice(35, 99)]
const list =
  (...lines: string[]) =>
  () =>
    http('GET /v1/hosts', lines)
const bearer = (key: string) => list(`Authorization: Bearer ${key}`)

describe('whoever presents no living key in the one place for it is one and the same 401:', () => {
  const keys: [string, string][] = [
    ['#122 wrong prefix', `sk_${tenant.key.slice(3)}`],
    ['#122 wrong checksum', `${tenant.key.slice(0, -1)}${tenant.key.endsWith('0') ? '1' : '0'}`],
    ['#122 right id, wrong secret, right checksum', withChecksum(`${prefix}${id}${'0'.repeat(64)}`)],
    ['#122 unknown id, right checksum', withChecksum(`${prefix}${'0'.repeat(32)}${secret}`)],
    ['#122 another key’s id with this one’s secret', withChecksum(`${prefix}${other.key.slice(3, 35)}${secret}`)],
    ['#122 cut', tenant.key.slice(0, -1)],
    ['#122 with a letter more', `${tenant.key}0`],
    ['#122 quoted', `"${tenant.key}"`],
    ['#122 SQL', "lk_'OR'1'='1"],
    ['#122 with a NUL, percent-encoded', `${tenant.key}%00`],
    ['#125 in upper case', tenant.key.toUpperCase()],
    ['#125 the operator’s in upper case', OPERATOR_KEY.toUpperCase()],
    ['#122 the operator’s without its last letter', OPERATOR_KEY.slice(0, -1)],
    ['#128 of 8 KiB', 'k'.repeat(8192)],
  ]
  h.table([
    ['#121 no key', list(), 401],
    ['#121 Bearer with nothing', list('Authorization: Bearer'), 401],
    ['#121 Bearer and spaces', list('Authorization: Bearer   '), 401],
    ['#121 Basic', list(`Authorization: Basic ${Buffer.from(`${tenant.key}:`).toString('base64')}`), 401],
    ['#121 the key without a scheme', list(`Authorization: ${tenant.key}`), 401],
    ['#121 two keys in one line', list(`Authorization: Bearer ${tenant.key}, Bearer ${tenant.key}`), 401],
    ...keys.map(([name, key]): Row => [name, bearer(key), 401]),
    ['#124 in the query', () => http(`GET /v1/hosts?key=${tenant.key}&access_token=${tenant.key}`), 401],
    ['#124 in a cookie', list(`Cookie: authorization=Bearer ${tenant.key}; key=${tenant.key}`), 401],
    ['#124 in X-Api-Key', list(`X-Api-Key: ${tenant.key}`), 401],
    ['#124 in a body', () => inBody(), 401],
    ['#128 of 1 MiB', bearer('k'.repeat(1024 * 1024)), 431],
  ])
})

function inBody(): string {
  const body = JSON.stringify({ external_user_id: 'u', access_token: tenant.key })
  return http('POST /v1/connect-sessions', [JSON_LINE, `Content-Length: ${body.length}`], body)
}

describe('a key that lives is taken, however the scheme is written:', () => {
  h.table([
    ['#121 bearer in lower case', list(`Authorization: bearer ${tenant.key}`), 200],
    ['#121 BEARER in upper case', list(`AUTHORIZATION: BEARER ${tenant.key}`), 200],
    ['#121 the operator’s', list(KEY_LINE), 200],
  ])
})

test('#127 a key that may read is 403 on a route that writes', async () => {
  const key = await newKey(t, tenant.id, ['hosts:read'])
  const lines = [`Authorization: Bearer ${key}`]
  await h.judge(http('DELETE /v1/hosts/01890000-0000-7000-8000-000000000000', lines), 403, 'forbidden')
})

test('#123 #129 a key that was revoked elsewhere is refused at its next request here, though it was just used', async () => {
  const replica = await secondReplica(t)
  const key = await newKey(t, tenant.id)
  expect((await exchange(h.port, bearer(key)())).status).toBe(200)
  const authorization = `Bearer ${OPERATOR_KEY}`
  const keys = `/v1/tenants/${tenant.id}/api-keys`
  const { data } = (await replica.app.inject({ url: keys, headers: { authorization } })).json()
  const { id: keyId } = data.find(({ prefix }: { prefix: string }) => key.startsWith(prefix))
  const gone = await replica.app.inject({ method: 'DELETE', url: `${keys}/${keyId}`, headers: { authorization } })
  expect(gone.statusCode).toBe(204)
  h.nextSecond()
  await h.judge(bearer(key)(), 401)
  await replica.app.close()
})
h.counted(2)
