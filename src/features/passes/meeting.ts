import { invalidField } from '../../errors.ts'
import type { ZoomCloud } from '../../zoom/cloud.ts'
import { type PersonalLink, parseMeetingReference } from '../../zoom/meeting-id.ts'

/** What passes ask of the map of meetings. */
export interface MeetingsOfPasses {
  find: (
    tenantId: string,
    meetingId: string,
  ) => Promise<{ externalUserId: string | null; organizationId: string | null } | null>
  map: (
    tenantId: string,
    meetingId: string,
    target: { externalUserId: string },
    source: 'api' | 'lookup',
    observedAt?: Date,
  ) => Promise<void>
}

/** The likeliest first. */
export interface PersonalRooms {
  byLink: (
    tenantId: string,
    link: PersonalLink,
  ) => Promise<{ meetingId: string; externalUserId: string; observedAt: Date }[]>
}

/**
 * The number of the meeting that somebody pasted. Behind a personal link only a connected user's own profile knows it; it is then
 * his meeting, which the map learns where it says nothing yet.
 * @throws invalid_request, store_unavailable
 */
export async function meetingIdOf(
  {
    meetings,
    personalRooms,
    zoomCloud,
  }: { meetings: MeetingsOfPasses; personalRooms: PersonalRooms; zoomCloud: ZoomCloud },
  tenantId: string,
  pasted: string,
): Promise<string> {
  const reference = parseMeetingReference(pasted, zoomCloud)
  if ('meetingId' in reference) return reference.meetingId
  const [room, ...others] = await personalRooms.byLink(tenantId, reference.personalLink)
  if (!room) throw unknownLink()
  const { meetingId, externalUserId, observedAt } = room
  if (others.some((other) => other.meetingId !== meetingId)) throw ambiguousLink()
  if (!(await meetings.find(tenantId, meetingId)))
    await meetings.map(tenantId, meetingId, { externalUserId }, 'lookup', observedAt)
  return meetingId
}

const unknownLink = () =>
  invalidField(
    'meeting',
    'is a personal link (/my/…), which holds no meeting number, and it is no connected host’s as far as Zoom tells (it does with the scope user:read:user). Give the number that the invitation shows, or connect its owner (again)',
  )
const ambiguousLink = () =>
  invalidField(
    'meeting',
    'is a personal link (/my/…), which holds no meeting number, and more than one connected host has it. Give the number that the invitation shows',
  )
