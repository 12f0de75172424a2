import { createHmac } from 'node:crypto'
import type { LightMyRequestResponse } from 'fastify'
import type { TestApp } from './app.ts'
import { CLIENT_ID } from './connect.ts'

export const WEBHOOK_SECRET = 'zoom-webhook-secret-token'

/** As Zoom signs, by its documentation and not by our code. */
function signatureOf(
  body: string | Buffer,
  { secret = WEBHOOK_SECRET, timestamp = Math.floor(Date.now() / 1000) } = {},
) {
  const hex = createHmac('sha256', secret).update(`v0:${timestamp}:`).update(body).digest('hex')
  return { 'x-zm-signature': `v0=${hex}`, 'x-zm-request-timestamp': String(timestamp) }
}

export interface SendOptions {
  secret?: string
  timestamp?: number
  path?: string
  headers?: Record<string, string | string[]>
}

/** One delivery of Zoom's. */
export async function zoomSends(
  { app }: Pick<TestApp, 'app'>,
  event: object | string | Buffer,
  { path = '/zoom/webhook', headers, ...sign }: SendOptions = {},
): Promise<LightMyRequestResponse> {
  const payload = typeof event === 'string' || Buffer.isBuffer(event) ? event : JSON.stringify(event)
  return await app.inject({
    method: 'POST',
    url: path,
    payload,
    headers: { 'content-type': 'application/json', ...signatureOf(payload, sign), ...headers },
  })
}

/** The user takes the app away, at a time of Zoom's clock. */
export const deauthorization = (userId: string, accountId: string, at = new Date(), clientId = CLIENT_ID) => ({
  event: 'app_deauthorized',
  event_ts: at.getTime(),
  payload: {
    account_id: accountId,
    user_id: userId,
    signature: 'legacy',
    deauthorization_time: at.toISOString(),
    client_id: clientId,
  },
})

export const userEvent = (event: string, userId: string, accountId: string, at = new Date()) => ({
  event,
  event_ts: at.getTime(),
  payload: { account_id: accountId, object: { id: userId, email: 'somebody@example.com' } },
})

/** An event about a meeting, with what an event of Zoom's says besides and nobody needs. */
export const meetingEvent = (
  event: string,
  accountId: string,
  object: Record<string, unknown>,
  { at = new Date(), ...more }: { at?: Date; operator_id?: string } = {},
) => ({
  event,
  event_ts: at.getTime(),
  payload: {
    account_id: accountId,
    operator: 'assistant@example.com',
    ...more,
    object: { uuid: 'uLoRgfbbTayCX6r2Q/qQsQ==', type: 2, duration: 60, timezone: 'UTC', ...object },
  },
})

/** The user's personal meeting number is another one now. */
export const personalNumberMoved = (
  userId: string,
  accountId: string,
  from: number | string,
  to: number | string,
  at = new Date(),
) => ({
  event: 'user.updated',
  event_ts: at.getTime(),
  payload: { account_id: accountId, object: { id: userId, pmi: to }, old_object: { id: userId, pmi: from } },
})
