import { expect, onTestFinished, test } from 'vitest'
import { startSimulator } from '../../simulator/server.ts'
import { startTestApp } from '../helpers/app.ts'
import {
  deauthorization,
  meetingEvent,
  personalNumberMoved,
  userEvent,
  WEBHOOK_SECRET,
} from '../helpers/zoom-events.ts'
import { APP, connect, get, HOST, OTHER, refresh, simulator } from './client.ts'

test('delivers an event that a service takes, and one without a secret that it refuses', async () => {
  const t = await startTestApp({ env: { ZOOM_WEBHOOK_SECRET_TOKEN: WEBHOOK_SECRET } })
  const zoom = await startSimulator()
  onTestFinished(async () => {
    await t.stop()
    await zoom.close()
  })
  const address = await t.app.listen({ host: '127.0.0.1', port: 0 })
  const url = `${address}/zoom/webhook`
  const event = { event: 'meeting.started', event_ts: Date.now(), payload: {} }
  expect((await zoom.deliverEvent({ url, secret: WEBHOOK_SECRET, event })).status).toBe(204)
  expect((await zoom.deliverEvent({ url, event })).status).toBe(401)
  const validation = { event: 'endpoint.url_validation', payload: { plainToken: 'abc' } }
  const answer = await zoom.deliverEvent({ url, secret: WEBHOOK_SECRET, event: validation })
  expect([answer.status, JSON.parse(answer.body).plainToken]).toEqual([200, 'abc'])
})

test('what an event tells of has happened at Zoom, to that user alone', async () => {
  const sim = await simulator()
  const [pair, others] = [await connect(sim), await connect(sim, OTHER)]
  const { id, account_id: account } = sim.addUser({ email: HOST })
  const url = 'http://127.0.0.1:1/nobody' // an event that nobody takes is true all the same
  await sim.deliverEvent({ url, event: deauthorization(id, account, new Date(), 'another-app') })
  const next = await refresh(sim, pair.refresh_token)
  expect(next.status).toBe(200)
  await sim.deliverEvent({ url, event: deauthorization(id, account, new Date(), APP.id) })
  expect(sim.liveRefreshToken(HOST, APP.id)).toBe(null)
  await sim.deliverEvent({ url, event: userEvent('user.deactivated', id, account) })
  expect(sim.addUser({ email: HOST }).status).toBe('deactivated')
  await sim.deliverEvent({ url, event: userEvent('user.activated', id, account) })
  expect(sim.addUser({ email: HOST }).status).toBe('active')
  expect(sim.liveRefreshToken(OTHER, APP.id)).toBe(others.refresh_token)
  await sim.deliverEvent({ url, event: userEvent('user.deleted', sim.addUser({ email: OTHER }).id, account) })
  expect(sim.liveRefreshToken(OTHER, APP.id)).toBe(null)
})

test('a meeting that an event tells of is there, until one tells that it is gone', async () => {
  const sim = await simulator()
  const { access_token: token } = await connect(sim)
  const { id: host, account_id: account } = sim.addUser({ email: HOST })
  const url = 'http://127.0.0.1:1/nobody'
  const tell = (name: string, object: object) =>
    sim.deliverEvent({ url, event: meetingEvent(`meeting.${name}`, account, { id: 75996249517, ...object }) })
  const mint = async () =>
    (await get(sim, '/v2/meetings/75996249517/jointoken/local_recording?bypass_waiting_room=true', token)).status
  await tell('started', { host_id: 'nobody' })
  expect(await mint()).toBe(404)
  await tell('created', { host_id: host, topic: 'Planning' })
  await tell('deleted', { host_id: host, occurrences: [{ occurrence_id: '1' }] })
  expect(await mint()).toBe(200)
  await tell('deleted', { host_id: host })
  expect(await mint()).toBe(404)
  await sim.deliverEvent({ url, event: personalNumberMoved(host, account, 1111111111, 2222222222) })
  expect(sim.addUser({ email: HOST }).pmi).toBe('2222222222')
})
