import { missingScopes, type PassKind, type TokenKind } from '../../zoom/scopes.ts'
import type { HostStatus } from './store.ts'

export interface PassWarning {
  code:
    | 'host_unknown'
    | 'obf_user_is_not_host'
    | 'obf_and_zak'
    | 'join_alone'
    | 'reconnect_required'
    | 'missing_scope'
    | 'public_url_not_https'
    | 'no_recall_secret'
  detail: string
}

/** Somebody a pass depends on: known by the tenant's own id, connected or not. */
export interface Person {
  externalUserId: string
  host: { status: HostStatus; scopes: string[] } | null
}

export interface WarningFacts {
  kinds: PassKind[]
  /** Whom the meeting is mapped to, or whose access token the pass is for; null where nothing is known, or an organization. */
  meetingHost: Person | null
  isOrganizationMeeting: boolean
  onBehalfOf: Person[]
  publicBaseUrl: string
  hasRecallSecret: boolean
}

/** Who makes the token of each kind that the pass offers. */
function makersOf({ kinds, meetingHost, onBehalfOf }: WarningFacts): { kind: PassKind; person: Person }[] {
  const hosts = meetingHost ? [meetingHost] : []
  return kinds.flatMap((kind) => {
    const makers = kind === 'obf' && onBehalfOf.length > 0 ? onBehalfOf : hosts
    return makers.map((person) => ({ kind, person }))
  })
}

const namesOf = (people: Person[]) => [...new Set(people.map(({ externalUserId }) => externalUserId))].join(', ')

function hostUnknown(facts: WarningFacts): string | null {
  const { kinds, meetingHost, onBehalfOf, isOrganizationMeeting } = facts
  const strangers = [...(meetingHost ? [meetingHost] : []), ...onBehalfOf].filter(({ host }) => host === null)
  if (strangers.length > 0)
    return `Nobody is connected as ${namesOf(strangers)} yet; the pass works once they connect Zoom.`
  const needsHost = kinds.some((kind) => {
    if (kind === 'join') return !isOrganizationMeeting
    return kind === 'zak' || onBehalfOf.length === 0
  })
  if (meetingHost || !needsHost) return null
  return 'No host is known for this meeting; name one as host, or map the meeting.'
}

function notTheHost({ kinds, meetingHost, onBehalfOf }: WarningFacts): string | null {
  if (!kinds.includes('obf') || !meetingHost) return null
  const others = onBehalfOf.filter(({ externalUserId }) => externalUserId !== meetingHost.externalUserId)
  if (others.length === 0) return null
  return `The meeting's host is ${meetingHost.externalUserId}, not ${namesOf(others)}: the bot gets in only while that user is in the meeting.`
}

function reconnect(facts: WarningFacts): string | null {
  const people = makersOf(facts).map(({ person }) => person)
  const lost = people.filter(({ host }) => host?.status === 'reconnect_required')
  return lost.length > 0 ? `${namesOf(lost)} must connect Zoom again before the bot joins.` : null
}

/** An access token has whatever scopes there are. */
const tokenKindsOf = (kind: PassKind): TokenKind[] => (kind === 'access' ? [] : [kind])

function missingScope(facts: WarningFacts): string | null {
  const lacking = makersOf(facts).flatMap(({ kind, person: { externalUserId, host } }) =>
    missingScopes(host?.scopes ?? [], host ? tokenKindsOf(kind) : []).map(
      (scope) => `${externalUserId} did not grant ${scope}`,
    ),
  )
  return lacking.length > 0 ? `${[...new Set(lacking)].join('; ')}.` : null
}

const CHECKS: [PassWarning['code'], (facts: WarningFacts) => string | null][] = [
  ['host_unknown', hostUnknown],
  ['obf_user_is_not_host', notTheHost],
  [
    'obf_and_zak',
    ({ kinds }) =>
      kinds.includes('obf') && kinds.includes('zak')
        ? 'An OBF token and a ZAK exclude each other: give the bot one of the two.'
        : null,
  ],
  [
    'join_alone',
    ({ kinds }) =>
      kinds.every((kind) => kind === 'join')
        ? 'A join token alone does not let a bot into meetings of other accounts: add obf or zak.'
        : null,
  ],
  ['reconnect_required', reconnect],
  ['missing_scope', missingScope],
  [
    'public_url_not_https',
    ({ publicBaseUrl }) =>
      publicBaseUrl.startsWith('https:')
        ? null
        : 'PUBLIC_BASE_URL is not https: bots of Recall cannot call these URLs.',
  ],
  [
    'no_recall_secret',
    ({ hasRecallSecret }) =>
      hasRecallSecret
        ? null
        : 'No Recall verification secret serves this tenant: every request for a token is refused.',
  ],
]

/** What would keep the pass from working, each only where it is true now; never a reason to refuse it. */
export function warningsOf(facts: WarningFacts): PassWarning[] {
  return CHECKS.flatMap(([code, check]) => {
    const detail = check(facts)
    return detail === null ? [] : [{ code, detail }]
  })
}
