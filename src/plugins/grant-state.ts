import { z } from 'zod'
import { refreshExpiryOf } from '../zoom/refresh-life.ts'
import { degradedParts, missingScopes, type TokenKind } from '../zoom/scopes.ts'
import { isoTime } from './responses.ts'

/** What is known of a grant to whoever links it. */
interface LinkedGrant {
  status: 'connected' | 'reconnect_required' | 'blocked'
  statusReason: string | null
  scopes: string[]
  connectedAt: Date
  lastRefreshedAt: Date | null
}

export const grantStatus = z.enum(['connected', 'reconnect_required', 'blocked'])

/** The state of a grant in an answer: the same of a host and of an organization. */
export const grantState = {
  status: grantStatus,
  status_reason: z.string().nullable(),
  scopes: z.array(z.string()),
  missing_scopes: z.array(z.string()),
  degraded: z.array(z.enum(['profile', 'sync', 'settings'])),
  connected_at: isoTime(),
  last_refreshed_at: isoTime().nullable(),
  refresh_expires_at: isoTime().nullable(),
}

/** Fills `grantState`; `kinds` are the tokens that this link is for, whose scopes it must have. */
export const grantStateOf = (grant: LinkedGrant, kinds: TokenKind[], link?: 'host' | 'organization') => ({
  status: grant.status,
  status_reason: grant.statusReason,
  scopes: grant.scopes,
  missing_scopes: missingScopes(grant.scopes, kinds),
  degraded: degradedParts(grant.scopes, link),
  connected_at: grant.connectedAt.toISOString(),
  last_refreshed_at: grant.lastRefreshedAt?.toISOString() ?? null,
  refresh_expires_at: refreshExpiryOf(grant.lastRefreshedAt)?.toISOString() ?? null,
})

/** `?revoke=false` of a DELETE that unlinks a grant: it lives on at Zoom. */
export const unlinkQuery = z.object({
  revoke: z
    .enum(['true', 'false'])
    .default('true')
    .transform((word) => word === 'true'),
})
