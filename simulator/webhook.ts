import { createHmac } from 'node:crypto'
import { type CallResult, sendCall } from './call.ts'
import { type WebhookInput, webhookInput } from './schemas.ts'
import { parseInput, type State } from './state.ts'

/** Zoom's documented limit for an answer to an event is 3 s. */
const DEFAULT_TIMEOUT_MS = 3000

/** The two headers of an event: HMAC-SHA256 over `v0:{timestamp}:{body}`. @see https://developers.zoom.us/docs/api/webhooks/ */
function signZoomEvent(secret: string, timestamp: number, body: string): Record<string, string> {
  const hex = createHmac('sha256', secret).update(`v0:${timestamp}:${body}`).digest('hex')
  return { 'x-zm-request-timestamp': String(timestamp), 'x-zm-signature': `v0=${hex}` }
}

interface Said {
  user_id?: unknown
  client_id?: unknown
  object?: { id?: unknown; host_id?: unknown; pmi?: unknown; topic?: unknown; occurrences?: unknown } | null
}
type Directory = Pick<State, 'findUser' | 'meetings' | 'upsertMeeting'>

/** Does at Zoom what an event tells of, where it is about a known user: nobody is told of what has not happened. */
export function happenAtZoom(
  { event: { event, payload } }: WebhookInput,
  state: Directory,
  revoke: (userId: string, clientId?: string) => number,
): void {
  const said = (payload ?? {}) as Said
  if (event.startsWith('meeting.')) {
    happenToMeeting(event, said, state)
    return
  }
  const user = state.findUser(String(said.user_id ?? said.object?.id ?? ''))
  if (!user) return
  if (event === 'app_deauthorized') revoke(user.id, typeof said.client_id === 'string' ? said.client_id : undefined)
  if (event === 'user.deleted' || event === 'user.disassociated') revoke(user.id)
  if (event === 'user.deactivated') user.status = 'deactivated'
  if (event === 'user.activated') user.status = 'active'
  if (event === 'user.updated' && said.object?.pmi !== undefined) user.pmi = String(said.object.pmi)
}

/** A meeting of a known host is there, or is over; one occurrence less is not the end. */
function happenToMeeting(event: string, { object }: Said, { findUser, meetings, upsertMeeting }: Directory): void {
  const id = String(object?.id ?? '')
  const host = findUser(String(object?.host_id ?? ''))?.id
  const isGone = event === 'meeting.deleted' || event === 'meeting.permanently_deleted'
  if (isGone && object?.occurrences === undefined) meetings.delete(id)
  const isThere = ['meeting.created', 'meeting.updated', 'meeting.recovered', 'meeting.started'].includes(event)
  if (isThere && host !== undefined && /^[0-9]{9,12}$/.test(id)) {
    const topic = typeof object?.topic === 'string' ? object.topic : undefined
    upsertMeeting({ id, host, topic, ended: false, live: event === 'meeting.started' ? true : undefined })
  }
  const known = meetings.get(id)
  if (event !== 'meeting.ended' || !known) return
  known.live = false
  if (known.type === 1) known.ended = true
}

/** Delivers one event as Zoom does, once; without `secret` an unsigned one. @throws ControlError */
export async function deliverEvent(input: WebhookInput): Promise<CallResult> {
  const { url, secret, event, timestamp, timeout_ms: timeoutMs } = parseInput(webhookInput, input, 'event')
  const body = JSON.stringify(event)
  const signature = secret === undefined ? {} : signZoomEvent(secret, timestamp ?? Math.floor(Date.now() / 1000), body)
  const headers = { 'content-type': 'application/json', ...signature }
  return await sendCall({ method: 'POST', url, headers }, timeoutMs ?? DEFAULT_TIMEOUT_MS, body)
}
