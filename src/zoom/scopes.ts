/** What Zoom mints for a bot. */
export type TokenKind = 'join' | 'obf' | 'zak'
/** What a pass can be for: a bot's token, or a user's access token itself. */
export type PassKind = TokenKind | 'access'

/** Parts of the service that an optional scope makes possible. */
export type DegradedPart = 'profile' | 'sync' | 'settings'

interface Requirement {
  /** The granular scope that a user-level app asks for; the one to name when none is granted. */
  scope: string
  /** Granted instead by admin-level apps, by apps with classic scopes, or by a scope that covers more. */
  alternatives: readonly string[]
}

const USER_TOKEN = [
  'user:read:token',
  'user:read:token:admin',
  'user:read:token:master',
  'user:read',
  'user:read:admin',
]

const REQUIRED: Record<TokenKind, Requirement> = {
  join: {
    scope: 'meeting:read:local_recording_token',
    alternatives: [
      'meeting:read:local_recording_token:admin',
      'meeting_token:read:local_recording',
      'meeting_token:read:admin:local_recording',
    ],
  },
  obf: { scope: 'user:read:token', alternatives: USER_TOKEN },
  // Zoom lists only user:read:token for /users/me/token, yet ZAKs are minted there with user:read:zak alone: either counts
  zak: { scope: 'user:read:zak', alternatives: ['user:read:zak:admin', 'user_zak:read', ...USER_TOKEN] },
}

const OPTIONAL: Record<DegradedPart, Requirement> = {
  profile: { scope: 'user:read:user', alternatives: ['user:read:user:admin', 'user:read', 'user:read:admin'] },
  sync: {
    scope: 'meeting:read:list_meetings',
    alternatives: ['meeting:read:list_meetings:admin', 'meeting:read', 'meeting:read:admin'],
  },
  settings: { scope: 'user:read:settings', alternatives: ['user:read:settings:admin', 'user:read', 'user:read:admin'] },
}

/** Beside the meetings of each: an account's users can be listed. */
const LIST_USERS: Requirement = {
  scope: 'user:read:list_users:admin',
  alternatives: ['user:read:list_users:master', 'user:read:admin'],
}

/** Any of them lets Zoom be asked whose a meeting is. */
export const MEETING_SCOPES = [
  'meeting:read:meeting',
  'meeting:read:meeting:admin',
  'meeting:read',
  'meeting:read:admin',
]

/** The scope to ask for, to mint a token of this kind. */
export function requiredScope(kind: TokenKind): string {
  return REQUIRED[kind].scope
}

/** Granular scopes that are needed for the kinds and not granted in any form. */
export function missingScopes(granted: string[], kinds: TokenKind[]): string[] {
  return [...new Set(kinds)]
    .map((kind) => REQUIRED[kind])
    .filter(isMissingIn(granted))
    .map(({ scope }) => scope)
}

/** What works less well for want of an optional scope. */
export function degradedParts(granted: string[], link: 'host' | 'organization' = 'host'): DegradedPart[] {
  const isMissing = isMissingIn(granted)
  const lacksUsers = link === 'organization' && isMissing(LIST_USERS)
  return (['profile', 'sync', 'settings'] as const).filter(
    (part) => isMissing(OPTIONAL[part]) || (part === 'sync' && lacksUsers),
  )
}

function isMissingIn(granted: string[]): (requirement: Requirement) => boolean {
  return ({ scope, alternatives }) => !granted.includes(scope) && !alternatives.some((other) => granted.includes(other))
}
