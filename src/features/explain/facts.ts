import type { PassKind } from '../../zoom/scopes.ts'

/** A row of the ledger, as far as it tells of a cause. */
export interface MintFact {
  kind: PassKind
  /** `minted`, an error code, or `unknown`. */
  outcome: string
  reason: string | null
  zoomCode: number | null
  hostId: string | null
  createdAt: Date
}

export interface HostFact {
  id: string
  externalUserId: string
  status: 'connected' | 'reconnect_required' | 'blocked'
  statusReason: string | null
  /** For the kinds of token that are wanted. */
  missingScopes: string[]
}

/** All that a cause is judged by; nothing is asked of anybody any more. */
export interface Facts {
  /** Null for a pass of kind `access`, which is for no meeting. */
  meetingId: string | null
  /** Null: none is known, or it is gone. */
  pass: { kinds: PassKind[]; onBehalfOf: string[]; joinAt: Date | null } | null
  /** Null: the tenant has no mapping of the number. `externalUserId` null: mapped to an organization. */
  mapping: { externalUserId: string | null } | null
  host: HostFact | null
  /** Whether an organization is connected that makes this meeting's join tokens. */
  hasOrganization: boolean
  /** Whose personal room the number is, as connected users tell. */
  roomOwner: string | null
  /** Of one pass, newest first. */
  mints: MintFact[]
  /** Null: not known. */
  isLocalRecordingOn: boolean | null
  now: Date
}

/** The newest row of a kind. */
export const latest = ({ mints }: Facts, kind: PassKind): MintFact | undefined =>
  mints.find((mint) => mint.kind === kind)

/** The newest row of a kind, where a token went out. */
export function lastMinted(facts: Facts, kind: PassKind): MintFact | undefined {
  const mint = latest(facts, kind)
  return mint?.outcome === 'minted' ? mint : undefined
}

/** Kinds whose newest row has one of these outcomes, with that row. */
export const lastRefused = (facts: Facts, outcomes: readonly string[]): MintFact | undefined =>
  (['join', 'obf', 'zak'] as const)
    .map((kind) => latest(facts, kind))
    .find((mint) => mint !== undefined && outcomes.includes(mint.outcome))

export const secondsBetween = (earlier: Date, later: Date): number =>
  Math.round((later.getTime() - earlier.getTime()) / 1000)

/** ` (Zoom's code 3000)`, or nothing. */
export const codeOf = ({ zoomCode }: MintFact): string => (zoomCode === null ? '' : ` (Zoom’s code ${zoomCode})`)
