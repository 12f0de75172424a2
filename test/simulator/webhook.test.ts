import { expect, onTestFinished, test } from 'vitest'
import { startSimulator } from '../../simulator/server.ts'
import { startTestApp } from '../helpers/app.ts'
import { WEBHOOK_SECRET } from '../helpers/zoom-events.ts'

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
