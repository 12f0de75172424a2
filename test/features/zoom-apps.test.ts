import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { startTestApp, type TestApp } from '../helpers/app.ts'
import { callerOf, newTenantWithKey, outcomeOf, seedHost, unique } from '../helpers/management.ts'

const DAY_MS = 24 * 3600 * 1000
let t: TestApp
let nowMs = Date.now()
let call: ReturnType<typeof callerOf>

beforeAll(async () => {
  t = await startTestApp({ now: () => nowMs })
  call = callerOf(t)
})
afterAll(() => t.stop())

const newApp = async (body: Record<string, unknown> = {}) => {
  const { id: tenantId } = await newTenantWithKey(t)
  const secrets = { client_id: `app-${unique()}`, client_secret: 'first-secret' }
  const created = await call('POST', '/v1/zoom-apps', { ...secrets, tenant_id: tenantId, ...body })
  return { tenantId, created, app: created.json(), url: `/v1/zoom-apps/${created.json().id}` }
}
const secretsOf = async (id: string) => (await t.services.zoomApps.credentialsOf(id))?.clientSecrets
const environmentApp = async () => {
  const { data } = (await call('GET', '/v1/zoom-apps?limit=200')).json()
  return data.find((app: { managed_by: string }) => app.managed_by === 'environment')
}

describe('registering an app', () => {
  test('answers what may be known of it and never its secrets', async () => {
    const { created, app, url, tenantId } = await newApp({ webhook_secret_token: 'hook-secret' })
    expect(created.statusCode).toBe(201)
    expect(app).toMatchObject({ kind: 'user', tenant_id: tenantId, managed_by: 'api', has_webhook_secret: true })
    expect(app.redirect_uri).toBe('http://localhost:4000/zoom/oauth/callback')
    expect((await call('GET', url)).json()).toEqual(app)
    for (const text of [created.body, t.log.join('')]) expect(text).not.toMatch(/first-secret|hook-secret/)
    const { rows } = await t.admin.query('SELECT * FROM zoom_apps WHERE id = $1', [app.id])
    expect(Buffer.from(rows[0].client_secret_ct).toString('latin1')).not.toContain('first-secret')
  })

  test('refuses a client id that is known, whoever has it, the environment included', async () => {
    const { app } = await newApp()
    const again = { client_secret: 'x', kind: 'account' }
    for (const client_id of [app.client_id, 'simulator-client-id'])
      expect(outcomeOf(await call('POST', '/v1/zoom-apps', { ...again, client_id }))).toEqual([409, 'zoom_app_exists'])
  })

  test('allows one app per kind and owner, also when several are registered at once', async () => {
    const { tenantId } = await newApp()
    const another = (kind: string) =>
      call('POST', '/v1/zoom-apps', { client_id: unique(), client_secret: 'x', tenant_id: tenantId, kind })
    expect(outcomeOf(await another('user'))).toEqual([409, 'conflict'])
    const statuses = (await Promise.all(Array.from({ length: 5 }, () => another('account')))).map((a) => a.statusCode)
    expect(statuses.sort()).toEqual([201, 409, 409, 409, 409])
  })

  test('counts the environment’s app as the shared one of kind user', async () => {
    const shared = { client_id: unique(), client_secret: 'x' }
    expect(outcomeOf(await call('POST', '/v1/zoom-apps', shared))).toEqual([409, 'conflict'])
  })

  test('refuses a tenant that does not exist, and a redirect URI that is not ours to trust', async () => {
    const body = { client_id: unique(), client_secret: 'x' }
    const unknown = await call('POST', '/v1/zoom-apps', { ...body, tenant_id: crypto.randomUUID() })
    expect(outcomeOf(unknown)).toEqual([404, 'not_found'])
    for (const redirect_uri of [
      'http://app.example.com/cb',
      'ftp://x',
      'https://u:p@x.example',
      'https://x.example/#a',
    ])
      expect(outcomeOf(await call('POST', '/v1/zoom-apps', { ...body, redirect_uri }))).toEqual([
        400,
        'invalid_request',
      ])
  })
})

describe('changing a secret', () => {
  test('keeps the former one second for 24 hours', async () => {
    const { app, url } = await newApp()
    expect((await call('PATCH', url, { client_secret: 'second-secret' })).json().has_previous_secret).toBe(true)
    expect(await secretsOf(app.id)).toEqual(['second-secret', 'first-secret'])
    nowMs += DAY_MS + 1
    expect(await secretsOf(app.id)).toEqual(['second-secret'])
    expect((await call('GET', url)).json().has_previous_secret).toBe(false)
  })

  test('drops the former one at once when told so, in the same request or a later one', async () => {
    const { app, url } = await newApp()
    await call('PATCH', url, { client_secret: 'second-secret', drop_previous: true })
    expect(await secretsOf(app.id)).toEqual(['second-secret'])
    await call('PATCH', url, { client_secret: 'third-secret' })
    await call('PATCH', url, { drop_previous: true })
    expect(await secretsOf(app.id)).toEqual(['third-secret'])
  })

  test('leaves everything else as it was, and the same secret again changes nothing', async () => {
    const { app, url } = await newApp({ webhook_secret_token: 'hook-secret' })
    const changed = await call('PATCH', url, {
      redirect_uri: 'https://app.example.com/cb',
      client_secret: 'first-secret',
    })
    expect(changed.json()).toMatchObject({ redirect_uri: 'https://app.example.com/cb', has_previous_secret: false })
    expect(changed.json()).toMatchObject({ has_webhook_secret: true, has_previous_webhook_secret: false })
    expect(await secretsOf(app.id)).toEqual(['first-secret'])
  })

  test('loses no change of several made at once', async () => {
    const { app, url } = await newApp()
    await Promise.all([
      call('PATCH', url, { client_secret: 'second-secret' }),
      call('PATCH', url, { redirect_uri: 'https://app.example.com/cb' }),
      call('PATCH', url, { webhook_secret_token: 'hook-secret' }),
    ])
    expect((await call('GET', url)).json()).toMatchObject({
      has_webhook_secret: true,
      redirect_uri: 'https://app.example.com/cb',
    })
    expect(await secretsOf(app.id)).toEqual(['second-secret', 'first-secret'])
  })

  test('does not open a sealed secret that was put back from before', async () => {
    const { app, url } = await newApp()
    const read = 'SELECT client_secret_ct FROM zoom_apps WHERE id = $1'
    const { rows } = await t.admin.query(read, [app.id])
    await call('PATCH', url, { client_secret: 'second-secret', drop_previous: true })
    await t.admin.query('UPDATE zoom_apps SET client_secret_ct = $2 WHERE id = $1', [app.id, rows[0].client_secret_ct])
    await expect(t.services.zoomApps.credentialsOf(app.id)).rejects.toThrow('does not open')
  })
})

describe('the app of the environment', () => {
  test('is listed, usable, and changed nowhere but in the environment', async () => {
    const app = await environmentApp()
    expect(await secretsOf(app.id)).toEqual(['simulator-client-secret'])
    const url = `/v1/zoom-apps/${app.id}`
    expect(outcomeOf(await call('PATCH', url, { client_secret: 'x' }))).toEqual([409, 'conflict'])
    expect(outcomeOf(await call('DELETE', url))).toEqual([409, 'conflict'])
  })

  test('is one row, however often and from wherever it is ensured', async () => {
    await Promise.all(Array.from({ length: 5 }, () => t.services.zoomApps.ensureEnvironmentApp()))
    const count = "SELECT count(*)::int AS n FROM zoom_apps WHERE managed_by = 'environment'"
    expect((await t.admin.query(count)).rows[0].n).toBe(1)
  })

  test('serves tenants that have none of their own, and only them', async () => {
    const { app, tenantId } = await newApp()
    const other = await newTenantWithKey(t)
    const chosen = async (id: string) => (await t.services.zoomApps.forConnect(id, 'user'))?.clientId
    expect(await chosen(tenantId)).toBe(app.client_id)
    expect(await chosen(other.id)).toBe('simulator-client-id')
    expect(await t.services.zoomApps.forConnect(other.id, 'account')).toBeNull()
  })
})

describe('an app that the environment names anew', () => {
  test('takes over a shared app of the API with its grants, and one that it names no more may be deleted', async () => {
    const own = await startTestApp()
    try {
      const [sql, callOwn] = [own.admin, callerOf(own)]
      const before = (await callOwn('GET', '/v1/zoom-apps')).json().data[0]
      await sql.query("UPDATE zoom_apps SET managed_by = 'api'")
      await own.services.zoomApps.ensureEnvironmentApp()
      expect((await callOwn('GET', '/v1/zoom-apps')).json().data).toEqual([before])
      await sql.query("UPDATE zoom_apps SET client_id = 'former-client-id'")
      await own.services.zoomApps.ensureEnvironmentApp()
      const former = `/v1/zoom-apps/${before.id}`
      expect(await own.services.zoomApps.credentialsOf(before.id)).toBeNull()
      expect((await own.services.zoomApps.sharedApp('user'))?.clientId).toBe('simulator-client-id')
      expect(outcomeOf(await callOwn('PATCH', former, { client_secret: 'x' }))).toEqual([409, 'conflict'])
      expect((await callOwn('DELETE', former)).statusCode).toBe(204)
    } finally {
      await own.stop()
    }
  })

  test('is refused where the client id belongs to a tenant', async () => {
    const own = await startTestApp()
    try {
      const { id } = await newTenantWithKey(own)
      await own.admin.query("UPDATE zoom_apps SET managed_by = 'api', tenant_id = $1", [id])
      await expect(own.services.zoomApps.ensureEnvironmentApp()).rejects.toMatchObject({ code: 'conflict' })
    } finally {
      await own.stop()
    }
  })
})

describe('deleting an app', () => {
  test('answers 204, then 404', async () => {
    const { url } = await newApp()
    expect((await call('DELETE', url)).statusCode).toBe(204)
    for (const method of ['GET', 'DELETE'] as const)
      expect(outcomeOf(await call(method, url))).toEqual([404, 'not_found'])
  })

  test('is refused while a host uses a grant of it', async () => {
    const { app, url, tenantId } = await newApp()
    const host = await seedHost(t, tenantId, 'alice')
    await t.admin.query('UPDATE grants SET zoom_app_id = $2 WHERE id = $1', [host.grantId, app.id])
    expect(outcomeOf(await call('DELETE', url))).toEqual([409, 'conflict'])
    await t.api('DELETE', `/v1/hosts/${host.id}?revoke=false`, { headers: { 'latchkey-tenant': tenantId } })
    expect((await call('DELETE', url)).statusCode).toBe(204)
  })
})
