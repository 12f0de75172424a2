import * as z from 'zod'
import type { ZoomCloud } from './cloud.ts'
import { isMissingScope } from './faults.ts'
import { type ZoomHttp, type ZoomReply, ZoomTransportError } from './http.ts'
import { identifier } from './identifier.ts'
import { isMeetingId, type MeetingReference, type PersonalLink, parseMeetingReference } from './meeting-id.ts'
import { getWithOneRetry } from './retry.ts'

interface KnownUser {
  outcome: 'known'
  id: string
  accountId: string
  email: string | null
  emailVerified: boolean
  displayName: string | null
  /** Number of the personal meeting room. */
  pmi: string | null
  personalLink: PersonalLink | null
}

export type MeOutcome = KnownUser | { outcome: 'no_scope' } | { outcome: 'unavailable' }

export interface ZoomUsers {
  me(accessToken: string, timeoutMs?: number): Promise<MeOutcome>
}

const DEFAULT_ATTEMPT_MS = 2000

const name = z.string().max(256).optional().catch(undefined)
const link = z.string().max(2048).optional().catch(undefined)
/** `host_key` and whatever else the answer holds stay behind. */
const user = z.object({
  id: identifier,
  account_id: identifier,
  email: z
    .string()
    .regex(/^[^\s\p{C}@]{1,64}@[^\s\p{C}@]{1,255}$/u)
    .optional()
    .catch(undefined),
  verified: z.unknown().optional(),
  display_name: name,
  first_name: name,
  last_name: name,
  pmi: z.union([z.int(), z.string()]).transform(String).optional().catch(undefined),
  personal_meeting_url: link,
  vanity_url: link,
})

/** Who an access token belongs to. Any trouble is an outcome: the pair that was just received must be stored whatever comes of it. */
export function createZoomUsers({ http, cloud }: { http: Pick<ZoomHttp, 'send'>; cloud: ZoomCloud }): ZoomUsers {
  return {
    async me(accessToken, timeoutMs = DEFAULT_ATTEMPT_MS) {
      const request = { path: '/users/me', headers: { authorization: `Bearer ${accessToken}` } }
      try {
        return judge(
          await getWithOneRetry(http, request, { attemptTimeoutMs: timeoutMs, budgetMs: 2 * timeoutMs + 250 }),
          cloud,
        )
      } catch (error) {
        if (error instanceof ZoomTransportError) return { outcome: 'unavailable' }
        throw error
      }
    },
  }
}

function judge(reply: ZoomReply, cloud: ZoomCloud): MeOutcome {
  if (isMissingScope(reply)) return { outcome: 'no_scope' }
  const { data } = user.safeParse(reply.status === 200 ? reply.body : undefined)
  if (!data) return { outcome: 'unavailable' }
  const email = data.email ?? null
  return {
    outcome: 'known',
    id: data.id,
    accountId: data.account_id,
    email,
    emailVerified: email !== null && isVerified(data.verified),
    displayName: plainName(data.display_name) ?? plainName(`${data.first_name ?? ''} ${data.last_name ?? ''}`),
    pmi: data.pmi !== undefined && isMeetingId(data.pmi) ? data.pmi : null,
    personalLink: personalLinkOf(data.vanity_url, cloud) ?? personalLinkOf(data.personal_meeting_url, cloud),
  }
}

/**
 * Zoom writes 1 and 0, perhaps true and false. The documented fields of `/users/me` do not name it, so where it is absent Zoom does
 * not contradict the address; anything else that is present is no confirmation.
 */
function isVerified(verified: unknown): boolean {
  return verified === undefined || verified === 1 || verified === true
}

/** Without the password that Zoom puts into it; null where it is empty, or a link to a number. */
function personalLinkOf(url: string | undefined, cloud: ZoomCloud): PersonalLink | null {
  if (!url) return null
  const reference = referenceOf(url, cloud)
  return reference && 'personalLink' in reference ? reference.personalLink : null
}

function referenceOf(url: string, cloud: ZoomCloud): MeetingReference | null {
  try {
    return parseMeetingReference(url, cloud)
  } catch {
    return null // a link of another cloud, or written in a way that nobody has seen: the profile is good without it
  }
}

/** A name for people to read: no control, direction or unpaired surrogate characters, which Postgres or a page could choke on. */
function plainName(text: string | undefined): string | null {
  return text?.replace(/[\p{Cc}\p{Cs}\u202a-\u202e\u2066-\u2069]/gu, '').trim() || null
}
