import { AppError } from '../../errors.ts'
import type { PassKind } from '../../zoom/scopes.ts'

/** A host or organization as it stood when the mint was opened. */
export interface TokenSource {
  id: string
  grantId: string
  status: 'connected' | 'reconnect_required' | 'blocked'
  statusReason: string | null
  gen: string
  accessLifeSeconds: number | null
}

/** An access token that leaves the service; it ends then at the latest. */
export interface LentToken {
  accessToken: string
  expiresAt: Date
}

/** Of a grant, with at least so much life left; see the vault's lender. */
export type Lend = (grantId: string, options: { leastSeconds: number; deadlineMs: number }) => Promise<LentToken>

/** What the guard's statement read; no grant is asked for yet. */
export interface OpenedToken {
  kind: PassKind
  tenantId: string
  passId: string | null
  /** Null for a pass of kind `access`. */
  meetingId: string | null
  isMapped: boolean
  host: TokenSource | null
  organization: TokenSource | null
  candidates: (TokenSource | null)[] | null
  turn: number
}

const notConnected = () => new AppError('host_not_connected', 'The user this token needs has not connected Zoom.')

/** Why a source that is not connected gives no token. */
export function refusalOf(source: TokenSource | null): AppError {
  if (!source) return notConnected()
  const reason = source.statusReason ?? undefined
  const options = reason === undefined ? {} : { reason }
  if (source.status === 'blocked')
    return new AppError(
      'host_blocked',
      'Zoom has blocked this user or this app for them; ask their Zoom admin.',
      options,
    )
  return new AppError('reconnect_required', 'The host must connect Zoom again.', options)
}

export const isConnected = (source: TokenSource | null): source is TokenSource => source?.status === 'connected'

/** The users a bot may act on behalf of, the connected ones in turn: a repeated call moves on to the next. */
function obfSources(candidates: (TokenSource | null)[], turn: number): TokenSource[] {
  const connected = candidates.filter(isConnected)
  if (connected.length === 0) throw refusalOf(candidates[0] ?? null)
  const first = turn % connected.length
  return [...connected.slice(first), ...connected.slice(0, first)]
}

/**
 * Who may mint this token, best first (contract §5). The meeting's host for join and ZAK; for OBF the pass's users, else the
 * host; an organization for join alone, where the host is not connected or must reconnect, never where it is blocked. The access
 * token of a pass is its host's own.
 * @throws host_not_connected, reconnect_required, host_blocked
 */
export function sourcesOf(opened: OpenedToken): { source: TokenSource; isHost: boolean }[] {
  const { kind, host, organization, candidates, turn } = opened
  if (kind === 'obf' && candidates) return obfSources(candidates, turn).map((source) => ({ source, isHost: true }))
  const standIn = kind === 'join' && isConnected(organization) && host?.status !== 'blocked' ? organization : null
  const sources = [
    ...(isConnected(host) ? [{ source: host, isHost: true }] : []),
    ...(standIn ? [{ source: standIn, isHost: false }] : []),
  ]
  if (sources.length > 0) return sources
  throw refusalOf(host ?? (kind === 'join' ? organization : null))
}
