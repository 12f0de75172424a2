import { afterAll, describe, expect, test } from 'vitest'
import { createInboxStore } from '../../src/features/zoom-events/inbox-store.ts'
import { sha256, uuidv7 } from '../../src/lib/ids.ts'
import { startTestApp } from '../helpers/app.ts'
import { newTenant, rows } from '../helpers/connect.ts'
import { unique } from '../helpers/management.ts'
import { deauthorization, WEBHOOK_SECRET, zoomSends } from '../helpers/zoom-events.ts'

const OLD_SECRET = 'the-secret-before-the-rotation'
const t = await startTestApp({ env: { ZOOM_WEBHOOK_SECRET_TOKEN: `${WEBHOOK_SECRET},${OLD_SECRET}` } })
afterAll(() => t.stop())

/** In effect: the worker that starts with the answer has done it. */
const until = (check: () => unknown) => expect.poll(check, { timeout: 5000, interval: 20 })
const outcomes = async () =>
  (await rows<{ outcome: string }>(t, 'SELECT outcome FROM zoom_events ORDER BY received_at')).map(
    ({ outcome }) => outcome,
  )
const settled = async () => await t.services.zoomEvents.processAcrossTenants()
const rowCount = async () => (await rows(t, 'SELECT FROM zoom_events')).length

describe('an event', () => {
  test('is taken with a good signature, and with that of the former secret', async () => {
    const event = { event: 'meeting.started', event_ts: Date.now(), payload: {} }
    expect((await zoomSends(t, event)).statusCode).toBe(204)
    expect((await zoomSends(t, event, { secret: OLD_SECRET })).statusCode).toBe(204)
  })

  test.each<[string, Parameters<typeof zoomSends>[2]]>([
    ['another secret', { secret: 'another' }],
    ['a timestamp of more than two hours ago', { timestamp: Math.floor(Date.now() / 1000) - 7300 }],
    ['a timestamp of more than five minutes ahead', { timestamp: Math.floor(Date.now() / 1000) + 400 }],
    ['no signature', { headers: { 'x-zm-signature': '' } }],
  ])('with %s is 401, and nothing is kept', async (_, options) => {
    const before = await rowCount()
    const answer = await zoomSends(t, deauthorization('user', 'account'), options)
    expect([answer.statusCode, answer.json().code]).toEqual([401, 'unauthenticated'])
    expect(await rowCount()).toBe(before)
  })

  test.each<[string, object | string]>([
    ['that is not JSON', 'hello'],
    ['without a payload', { event: 'app_deauthorized' }],
    ['with fields of wrong types', { event: 'user.deleted', payload: { object: { id: 5 } } }],
    ['of a name that nobody knows', { event: 'moon.landed', payload: { object: { id: 'x' } } }],
    [
      'with a thousand fields more',
      { event: 'user.deleted', payload: Object.fromEntries(Array.from({ length: 1000 }, (_, i) => [`f${i}`, i])) },
    ],
    ['that is null', 'null'],
  ])('%s is acknowledged and ignored', async (_, event) => {
    expect((await zoomSends(t, event)).statusCode).toBe(204)
  })

  test('about a user nobody knows is acknowledged, and changes nothing', async () => {
    expect((await zoomSends(t, deauthorization(unique(), unique()))).statusCode).toBe(204)
    await settled()
    expect((await outcomes()).at(-1)).toBe('unknown_user')
  })

  test('larger than 256 KiB is 413; of another type than JSON 415', async () => {
    expect((await zoomSends(t, { event: 'x', payload: 'y'.repeat(270_000) })).statusCode).toBe(413)
    expect((await zoomSends(t, 'x', { headers: { 'content-type': 'text/plain' } })).statusCode).toBe(415)
  })

  test('of an unknown Zoom app, or of one without a secret, is 404', async () => {
    const path = '/zoom/webhook/01890000-0000-7000-8000-000000000000'
    expect((await zoomSends(t, { event: 'x' }, { path })).statusCode).toBe(404)
    const bare = await startTestApp()
    expect((await zoomSends(bare, { event: 'x' })).statusCode).toBe(404)
    await bare.stop()
  })

  test('of a tenant’s own app comes under the app’s id, with its own secret alone', async () => {
    const tenant = await newTenant(t)
    const body = { client_id: unique(), client_secret: 's', webhook_secret_token: 'first', tenant_id: tenant.id }
    const { id } = (await t.api('POST', '/v1/zoom-apps', { body })).json()
    const path = `/zoom/webhook/${id}`
    expect((await zoomSends(t, { event: 'x' }, { path, secret: 'first' })).statusCode).toBe(204)
    expect((await zoomSends(t, { event: 'x' }, { path })).statusCode).toBe(401)
    await t.api('PATCH', `/v1/zoom-apps/${id}`, { body: { webhook_secret_token: 'second' } })
    expect((await zoomSends(t, { event: 'x' }, { path, secret: 'first' })).statusCode).toBe(204)
    expect((await zoomSends(t, { event: 'x' }, { path, secret: 'second' })).statusCode).toBe(204)
    await t.api('PATCH', `/v1/zoom-apps/${id}`, { body: { drop_previous: true } })
    expect((await zoomSends(t, { event: 'x' }, { path, secret: 'first' })).statusCode).toBe(401)
  })
})

describe('a validation of the endpoint', () => {
  const ask = (plainToken: unknown) => ({
    event: 'endpoint.url_validation',
    payload: { plainToken },
    event_ts: Date.now(),
  })

  test('is answered with the token under the secret, and noted', async () => {
    const answer = await zoomSends(t, ask('qgg8vlvZRS6UYooatFL8Aw'))
    expect(answer.statusCode).toBe(200)
    expect(Object.keys(answer.json())).toEqual(['plainToken', 'encryptedToken'])
    expect(answer.json().encryptedToken).toMatch(/^[0-9a-f]{64}$/)
    await until(
      async () => (await rows(t, 'SELECT FROM zoom_apps WHERE webhook_validated_at IS NOT NULL')).length,
    ).toBe(1)
  })

  test.each(['', 'x'.repeat(101), 'a b', 'ä', 5, null, 'v0:1700000000:{"event":"app_deauthorized"}\n'])(
    'with %j in place of a token signs nothing: the route is no oracle',
    async (plainToken) => {
      const answer = await zoomSends(t, ask(plainToken))
      expect([answer.statusCode, answer.body]).toEqual([204, ''])
    },
  )

  test('is refused without a good signature', async () => {
    expect((await zoomSends(t, ask('token'), { secret: 'another' })).statusCode).toBe(401)
  })

  test('that has not come for four days is an alarm', async () => {
    await rows(
      t,
      `UPDATE zoom_apps SET webhook_validated_at = now() - interval '5 days' WHERE webhook_validated_at IS NOT NULL`,
    )
    await t.services.zoomEvents.findSilenceAcrossTenants()
    expect(t.log.some((line) => line.includes('has not validated the webhook endpoint'))).toBe(true)
  })
})

test('what is about a person is taken in hand before a storm of meetings', async () => {
  const inbox = createInboxStore(t.app.sql)
  const [app] = await rows<{ id: string }>(t, 'SELECT id FROM zoom_apps WHERE tenant_id IS NULL LIMIT 1')
  const keep = async (isUrgent: boolean) => {
    const id = uuidv7()
    const event = { id, zoomAppId: String(app?.id), bodyHash: sha256(id), payloadCt: Buffer.from('sealed'), isUrgent }
    expect(await inbox.keep(event)).toBe('new')
    return id
  }
  for (let meeting = 0; meeting < 5; meeting++) await keep(false)
  const person = await keep(true)
  expect((await inbox.claim(1)).map(({ id }) => id)).toEqual([person])
  await rows(t, 'DELETE FROM zoom_events WHERE processed_at IS NULL')
})

test('a personal meeting number that moves is known to the grant, and an old move that comes late changes nothing', async () => {
  const email = `${unique()}@example.com`
  t.zoom.addUser({ email, pmi: '3111111111' })
  const host = await t.connectHost(unique(), email)
  const pmi = async () =>
    (
      await rows(t, 'SELECT pmi, zoom_account_id AS account FROM grants WHERE zoom_user_id = $1', [host.zoom_user_id])
    )[0]
  const moved = (from: string, to: string, at: number) => ({
    event: 'user.updated',
    event_ts: at,
    payload: { object: { id: host.zoom_user_id, pmi: to }, old_object: { pmi: from } },
  })
  const now = Date.now()
  await zoomSends(t, moved('3111111111', '3222222222', now))
  await settled()
  expect(await pmi()).toMatchObject({ pmi: '3222222222' })
  await zoomSends(t, moved('3000000000', '3111111111', now - 60_000))
  await settled()
  expect(await pmi()).toMatchObject({ pmi: '3222222222' })
})
