import * as z from 'zod'
import { identifier } from './identifier.ts'
import { isMeetingEvent, type MeetingEvent, parseMeetingEvent } from './meeting-events.ts'

/** What an event says of a user, whatever it is called and wherever it says so. */
export interface UserEvent {
  type: 'app_deauthorized' | (typeof USER_EVENTS)[number]
  zoomUserId: string
  zoomAccountId: string | null
  /** Of the app, where the event names it. */
  clientId: string | null
  at: Date
}

export type ParsedEvent =
  | { kind: 'url_validation'; plainToken: string }
  | { kind: 'user'; event: UserEvent }
  | { kind: 'meeting'; event: MeetingEvent }
  /** Of a name that this version does nothing about. */
  | { kind: 'other' }
  | { kind: 'malformed' }

const envelope = z.object({
  event: z.string().max(100),
  event_ts: z.number().optional().catch(undefined),
  payload: z.unknown(),
})
// printable and short: the answer is a MAC of it under our secret
const validation = z.object({ plainToken: z.string().regex(/^[\x21-\x7e]{1,100}$/) })
const deauthorized = z.object({
  user_id: identifier,
  account_id: identifier.optional(),
  client_id: z.string().max(200).optional(),
  deauthorization_time: z.iso.datetime({ offset: true }).optional().catch(undefined),
})
const ofUser = z.object({ account_id: identifier.optional(), object: z.object({ id: identifier }) })

const USER_EVENTS = [
  'user.created',
  'user.deactivated',
  'user.activated',
  'user.deleted',
  'user.disassociated',
] as const
const isUserEvent = (name: string): name is (typeof USER_EVENTS)[number] => USER_EVENTS.includes(name as never)

/** Milliseconds, of a plausible time and none to come; Zoom's documentation knows events without one. */
const timeOf = (eventTs: number | undefined, receivedAt: Date): Date =>
  eventTs !== undefined && eventTs > 1e12 ? new Date(Math.min(eventTs, receivedAt.getTime())) : receivedAt

/**
 * Reads an authentic event. `receivedAt` stands in where it does not say when it happened.
 * @see https://developers.zoom.us/docs/api/webhooks/
 */
export function parseZoomEvent(body: Buffer, receivedAt: Date): ParsedEvent {
  const { data } = envelope.safeParse(jsonOf(body))
  if (!data) return { kind: 'malformed' }
  const { event: name, event_ts: eventTs, payload } = data
  if (name === 'endpoint.url_validation') {
    const { data: asked } = validation.safeParse(payload)
    return asked ? { kind: 'url_validation', plainToken: asked.plainToken } : { kind: 'malformed' }
  }
  if (name === 'app_deauthorized') {
    const { data: said } = deauthorized.safeParse(payload)
    if (!said) return { kind: 'malformed' }
    const at = said.deauthorization_time ? new Date(said.deauthorization_time) : timeOf(eventTs, receivedAt)
    const whose = { zoomUserId: said.user_id, zoomAccountId: said.account_id ?? null, clientId: said.client_id ?? null }
    return { kind: 'user', event: { type: name, ...whose, at } }
  }
  if (isMeetingEvent(name)) {
    const event = parseMeetingEvent(name, payload, eventTs, receivedAt)
    return event ? { kind: 'meeting', event } : { kind: 'malformed' }
  }
  if (!isUserEvent(name)) return { kind: 'other' }
  const { data: said } = ofUser.safeParse(payload)
  if (!said) return { kind: 'malformed' }
  const whose = { zoomUserId: said.object.id, zoomAccountId: said.account_id ?? null, clientId: null }
  return { kind: 'user', event: { type: name, ...whose, at: timeOf(eventTs, receivedAt) } }
}

function jsonOf(body: Buffer): unknown {
  try {
    return JSON.parse(new TextDecoder('utf-8', { fatal: true }).decode(body))
  } catch {
    return undefined
  }
}
