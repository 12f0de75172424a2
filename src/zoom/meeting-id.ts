import { AppError } from '../errors.ts'
import { CLOUDS, type ZoomCloud } from './cloud.ts'

/**
 * A meeting number: 9 (before April 2020), 10 (personal) or 11 digits, and one spare. The `m` flag stays away, and so does
 * `Number()`: ids are text. This very pattern is tested again where an upstream path is built.
 */
export const MEETING_ID = /^[0-9]{9,12}$/

/** A link to somebody's personal room. Its name holds no meeting number, whatever digits are in it. */
export interface PersonalLink {
  /** A company's own address (`acme.zoom.us`), or `zoom.us` (`zoomgov.com`) for all that Zoom gives to everybody. */
  host: string
  /** In lower case, as Zoom compares it. */
  name: string
}

export type MeetingReference = { meetingId: string } | { personalLink: PersonalLink }

/** Below this no paste of a link is cut; above it nothing useful is pasted. */
const MAX_LENGTH = 2048
/** Spaces and no-break spaces, hyphens and dashes, soft hyphens, zero-width and direction marks: what mail and chat put between digits. */
const SEPARATORS = /[\s\u00a0\u00ad\u200b-\u200f\u2010-\u2015\u202a-\u202e\u2060-\u2069\ufeff-]/g
const INVISIBLE = /[\u00ad\u200b-\u200f\u202a-\u202e\u2060-\u2069\ufeff]/g
const WRAPPING = /^[\s<("']+|[\s>)"'.,;]+$/g
/** What no link holds, but what URL parsers drop or rewrite. ASCII alone: a host in another script is another host. */
const UNSAFE_IN_LINK = /[^\x21-\x7e]|\\/
const WITHOUT_SCHEME = /^(?:[a-z0-9-]+\.)*(?:zoom\.us|zoom\.com|zoomgov\.com)\//i
const PATHS = [
  /^\/(?:j|w|s)\/([0-9]{9,12})\/?$/,
  /^\/wc\/join\/([0-9]{9,12})\/?$/,
  /^\/wc\/([0-9]{9,12})(?:\/(?:join|start))?\/?$/,
]
const APP_PATH = /^\/(?:join|start)\/?$/
const PERSONAL_PATH = /^\/my\/([a-z0-9][a-z0-9._-]{0,127})\/?$/i

/** Whether the text is a bare meeting number. */
export function isMeetingId(text: string): boolean {
  return MEETING_ID.test(text)
}

/**
 * The meeting in what people paste: a number with any spacing, a join link of any region or vanity host, a web client link, a
 * `zoommtg:`/`zoomus:` link, or a personal link. What else the link holds (`pwd`, `tk`, `zak`) is dropped and never repeated. A link must
 * lead to `cloud`.
 * @throws invalid_request
 */
export function parseMeetingReference(text: string, cloud: ZoomCloud): MeetingReference {
  if (text.length > MAX_LENGTH) throw refuse('This is too long for a meeting number or a join link')
  const number = text.replace(SEPARATORS, '')
  if (isMeetingId(number)) return { meetingId: number }
  return referenceOfLink(text.replace(INVISIBLE, '').replace(WRAPPING, ''), cloud)
}

function referenceOfLink(text: string, cloud: ZoomCloud): MeetingReference {
  const url = UNSAFE_IN_LINK.test(text) ? null : URL.parse(WITHOUT_SCHEME.test(text) ? `https://${text}` : text)
  if (!url) throw refuse('A meeting is a number of 9 to 12 digits or a Zoom join link')
  const isAppLink = url.protocol === 'zoommtg:' || url.protocol === 'zoomus:'
  if (!isAppLink && url.protocol !== 'https:' && url.protocol !== 'http:') {
    throw refuse('A join link starts with https://, zoommtg:// or zoomus://')
  }
  const host = zoomHostOf(url, cloud)
  return isAppLink ? { meetingId: idOfAppLink(url) } : referenceOfPath(host, url.pathname, cloud)
}

/** The parser leaves the host's case alone for app links, so it is lowered here. A trailing dot or a port is not Zoom's writing. */
function zoomHostOf(url: URL, cloud: ZoomCloud): string {
  const host = url.hostname.toLowerCase()
  const other = cloud === 'commercial' ? 'government' : 'commercial'
  if (CLOUDS[other].any.test(host))
    throw refuse(`This link leads to ${CLOUDS[other].name}, and this Latchkey is connected with ${CLOUDS[cloud].name}`)
  if (!CLOUDS[cloud].any.test(host) || url.username !== '' || url.password !== '' || url.port !== '') {
    throw refuse(`This link does not lead to ${CLOUDS[cloud].name}`)
  }
  return host
}

function idOfAppLink(url: URL): string {
  const [id, ...others] = APP_PATH.test(url.pathname) ? url.searchParams.getAll('confno') : []
  if (id === undefined || others.length > 0 || !isMeetingId(id))
    throw refuse('This link names no meeting number (confno)')
  return id
}

function referenceOfPath(host: string, path: string, cloud: ZoomCloud): MeetingReference {
  const name = PERSONAL_PATH.exec(path)?.[1]
  if (name !== undefined)
    return {
      personalLink: { host: CLOUDS[cloud].common.test(host) ? CLOUDS[cloud].home : host, name: name.toLowerCase() },
    }
  for (const shape of PATHS) {
    const meetingId = shape.exec(path)?.[1]
    if (meetingId !== undefined) return { meetingId }
  }
  throw refuse('This Zoom link names no meeting; a join link looks like https://zoom.us/j/ and 9 to 12 digits')
}

function refuse(message: string): AppError {
  return new AppError('invalid_request', message)
}
