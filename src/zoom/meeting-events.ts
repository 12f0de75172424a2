import * as z from 'zod'
import { identifier } from './identifier.ts'
import { isMeetingId } from './meeting-id.ts'

export type MeetingEventName = (typeof MEETING_EVENTS)[number] | 'user.updated'

/** What an event says of one number: whose meeting it is, or (`zoomUserId` null) that nobody's is there any more. */
export interface MeetingWord {
  meetingId: string
  zoomUserId: string | null
}

/** What an event says of meetings. No topic, password or link of them is read. */
export interface MeetingEvent {
  type: MeetingEventName
  zoomAccountId: string | null
  /** At most one for each number; none where the map stays as it is. */
  words: MeetingWord[]
  at: Date
}

const MEETING_EVENTS = [
  'meeting.created',
  'meeting.updated',
  'meeting.recovered',
  'meeting.started',
  'meeting.ended',
  'meeting.deleted',
  'meeting.permanently_deleted',
] as const
const END_EVENTS: readonly string[] = ['meeting.deleted', 'meeting.permanently_deleted']

/** Zoom's clock may run ahead of ours by what a signature's may: within that, its own order of two events counts. */
const EARLY_MS = 5 * 60_000

/** A JSON number in some events and a string in others. */
const number = z.union([z.string(), z.int()]).transform(String).refine(isMeetingId)
// what is not a number of a meeting, or is left out, says nothing
const optionalNumber = number.optional().catch(undefined)
const ofMeeting = z.object({
  account_id: identifier.optional(),
  object: z.object({
    id: number,
    host_id: identifier.optional().catch(undefined),
    pmi: optionalNumber,
    occurrences: z.array(z.unknown()).optional().catch(undefined),
  }),
})
const ofPersonalNumber = z.object({
  account_id: identifier.optional(),
  object: z.object({ id: identifier, pmi: optionalNumber }),
  old_object: z.object({ pmi: optionalNumber }).optional().catch(undefined),
})

export const isMeetingEvent = (name: string): name is MeetingEventName =>
  name === 'user.updated' || (MEETING_EVENTS as readonly string[]).includes(name)

/** Null for an event of the wrong shape; `eventTs` is Zoom's own, in milliseconds. @see https://developers.zoom.us/docs/api/meetings/events/ */
export function parseMeetingEvent(
  type: MeetingEventName,
  payload: unknown,
  eventTs: number | undefined,
  receivedAt: Date,
): MeetingEvent | null {
  const at =
    eventTs !== undefined && eventTs > 1e12 ? new Date(Math.min(eventTs, receivedAt.getTime() + EARLY_MS)) : receivedAt
  if (type === 'user.updated') {
    const { data: moved } = ofPersonalNumber.safeParse(payload)
    return moved ? { type, zoomAccountId: moved.account_id ?? null, words: movedNumber(moved), at } : null
  }
  const { data: told } = ofMeeting.safeParse(payload)
  return told ? { type, zoomAccountId: told.account_id ?? null, words: wordsOf(type, told), at } : null
}

type Told = z.output<typeof ofMeeting>
type Moved = z.output<typeof ofPersonalNumber>

/**
 * Keyed on the host alone: who scheduled it for them (`operator_id`) opens no door. An event without the host leaves the map as it is,
 * and so does the end of one occurrence. The personal number of a meeting that ends stays its owner's.
 */
function wordsOf(type: MeetingEventName, { object: { id, host_id: host, pmi, occurrences } }: Told): MeetingWord[] {
  if (END_EVENTS.includes(type)) {
    const isOneOccurrence = occurrences !== undefined && occurrences.length > 0
    return isOneOccurrence || id === pmi ? [] : [{ meetingId: id, zoomUserId: null }]
  }
  if (host === undefined) return []
  const numbers = pmi === undefined || pmi === id ? [id] : [id, pmi]
  return numbers.map((meetingId) => ({ meetingId, zoomUserId: host }))
}

function movedNumber({ object: { id, pmi }, old_object: old }: Moved): MeetingWord[] {
  if (pmi === undefined || pmi === old?.pmi) return []
  const former = old?.pmi === undefined ? [] : [{ meetingId: old.pmi, zoomUserId: null }]
  return [...former, { meetingId: pmi, zoomUserId: id }]
}
