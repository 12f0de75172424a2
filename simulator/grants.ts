import { numberedRefusal, oauthRefusal } from './refusal.ts'
import type { App, State, User } from './state.ts'
import { challengeOf, claimsToken, randomToken } from './tokens.ts'

/** What a live access token allows; kept a while after its death so that its refusal can name the cause. */
export interface AccessRecord {
  clientId: string
  userId: string | null
  scopes: string[]
  expiresAt: number
  dead: boolean
}

/** A user's standing permission for one app. Only the newest grant per user and app can be alive. */
export interface Grant {
  userId: string
  clientId: string
  scopes: string[]
  authorizedAt: number
  refreshToken: string
  refreshExpiresAt: number
  accessTokens: string[]
  graces: { token: string; until: number; pair: TokenPair }[]
  death: null | 'revoked' | 'superseded' | 'family'
}

/** The answer of the token endpoint. @see RFC 6749 section 5.1 */
export interface TokenPair {
  access_token: string
  token_type: 'bearer'
  refresh_token?: string
  expires_in: number
  scope: string
  api_url: string
}

/** An authorization code that waits for its exchange. */
export interface PendingCode {
  clientId: string
  userId: string
  redirectUri: string
  challenge: string | null
  challengeMethod: 'plain' | 'S256'
  expiresAt: number
  used: boolean
}

/** A value handed out, and what it was; for tests that search dumps and logs for leaks. */
export interface Issued {
  kind: 'code' | 'access_token' | 'refresh_token' | 'join' | 'obf' | 'zak' | 'token'
  value: string
}

const CODE_LIFE_MS = 5 * 60 * 1000
/** Dead access tokens remembered per grant, so that memory stays flat over many refreshes. */
const REMEMBERED_ACCESS_TOKENS = 20
const INVALID_TOKEN = () => oauthRefusal(400, 'invalid_grant', 'Invalid Token!')

/** Codes, grants and their tokens: rotation without grace, one live grant per user and app. */
export function createGrants(state: State) {
  const codes = new Map<string, PendingCode>()
  const grants = new Map<string, Grant>()
  const byRefreshToken = new Map<string, Grant>()
  const byAccessToken = new Map<string, AccessRecord>()
  const issued: Issued[] = []
  let refreshes = 0

  const keyOf = (userId: string, clientId: string) => `${userId} ${clientId}`

  function newAccessToken(app: App, user: User | null, scopes: string[]): string {
    const lifeSeconds = state.modes.accessTokenLifeSeconds
    const issuedAt = state.now()
    const claims = { clientId: app.client_id, userId: user?.id ?? null, accountId: user?.account_id ?? null, issuedAt }
    const token = state.modes.opaqueAccessTokens ? randomToken(64) : claimsToken({ ...claims, lifeSeconds, type: 0 })
    const expiresAt = issuedAt + lifeSeconds * 1000
    byAccessToken.set(token, { clientId: app.client_id, userId: user?.id ?? null, scopes, expiresAt, dead: false })
    issued.push({ kind: 'access_token', value: token })
    return token
  }

  function killAccessTokens(grant: Grant) {
    for (const token of grant.accessTokens) {
      const record = byAccessToken.get(token)
      if (record) record.dead = true
    }
  }

  function kill(grant: Grant, death: Grant['death']) {
    grant.death ??= death
    grant.graces = []
    killAccessTokens(grant)
  }

  /** Gives the grant a fresh pair; the pair before it is dead from here on. */
  function rotate(grant: Grant, app: App, user: User): TokenPair {
    const accessToken = newAccessToken(app, user, grant.scopes)
    const lifeSeconds = state.modes.refreshTokenLifeSeconds
    const issuedAt = state.now()
    const claims = { clientId: app.client_id, userId: user.id, accountId: user.account_id, issuedAt }
    const refreshToken = claimsToken({ ...claims, lifeSeconds, type: 1 })
    grant.accessTokens.push(accessToken)
    if (grant.accessTokens.length > REMEMBERED_ACCESS_TOKENS) byAccessToken.delete(grant.accessTokens.shift() ?? '')
    grant.refreshToken = refreshToken
    grant.refreshExpiresAt = issuedAt + lifeSeconds * 1000
    byRefreshToken.set(refreshToken, grant)
    issued.push({ kind: 'refresh_token', value: refreshToken })
    return pairOf(accessToken, grant.scopes, refreshToken)
  }

  const pairOf = (accessToken: string, scopes: string[], refreshToken?: string): TokenPair => ({
    access_token: accessToken,
    token_type: 'bearer',
    ...(refreshToken === undefined ? {} : { refresh_token: refreshToken }),
    expires_in: state.modes.accessTokenLifeSeconds,
    scope: scopes.join(' '),
    api_url: 'https://api.zoom.us',
  })

  /** Issues a code: five minutes, one use, bound to app, redirect URI and PKCE challenge. */
  function issueCode(code: Omit<PendingCode, 'expiresAt' | 'used'>): string {
    const value = randomToken(24)
    codes.set(value, { ...code, expiresAt: state.now() + CODE_LIFE_MS, used: false })
    issued.push({ kind: 'code', value })
    return value
  }

  /** Redeems a code. Any attempt spends it, a wrong verifier too. A success kills the user's earlier grant of this app. */
  function exchange(app: App, given: { code: string; redirectUri: string; verifier: string | null }): TokenPair {
    const pending = codes.get(given.code)
    const invalidCode = () => oauthRefusal(400, 'invalid_grant', `Invalid authorization code ${given.code}`)
    if (!pending || pending.used || pending.clientId !== app.client_id) throw invalidCode()
    pending.used = true
    if (pending.expiresAt <= state.now()) throw numberedRefusal(4733)
    if (pending.redirectUri !== given.redirectUri) throw numberedRefusal(4709)
    if (!verifierFits(pending, given.verifier)) throw oauthRefusal(400, 'invalid_grant', 'Invalid code verifier')
    const user = state.users.get(pending.userId)
    if (!user) throw invalidCode()
    const earlier = grants.get(keyOf(user.id, app.client_id))
    if (earlier) kill(earlier, 'superseded')
    user.removed_app = false
    const grant: Grant = {
      userId: user.id,
      clientId: app.client_id,
      scopes: [...app.scopes],
      authorizedAt: state.now(),
      refreshToken: '',
      refreshExpiresAt: 0,
      accessTokens: [],
      graces: [],
      death: null,
    }
    grants.set(keyOf(user.id, app.client_id), grant)
    return rotate(grant, app, user)
  }

  /** Refuses as Zoom would before it looks at the token's generation. */
  function refuseByUser(grant: Grant, app: App): User {
    const user = state.users.get(grant.userId)
    if (!user || user.owner_removed) throw numberedRefusal(4735)
    if (user.admin_disabled) throw numberedRefusal(4738)
    if (state.modes.refreshChecksScopes && grant.scopes.join(' ') !== app.scopes.join(' ')) throw numberedRefusal(4711)
    if (grant.death === 'superseded' && state.modes.namesSuperseded) throw numberedRefusal(4741)
    if (grant.death !== null) throw INVALID_TOKEN()
    return user
  }

  /** Answers an already rotated token: within the grace period if there is one, else the token, or its family, is dead. */
  function reuse(grant: Grant, token: string, app: App, user: User): TokenPair {
    const grace = grant.graces.find((entry) => entry.token === token && entry.until > state.now())
    if (grace && state.modes.graceAnswer === 'same') return grace.pair
    if (grace) return renew(grant, app, user)
    if (state.modes.familyRevocation) kill(grant, 'family')
    throw INVALID_TOKEN()
  }

  function renew(grant: Grant, app: App, user: User): TokenPair {
    const spent = grant.refreshToken
    if (state.modes.refreshKillsAccessToken) killAccessTokens(grant)
    const pair = rotate(grant, app, user)
    refreshes += 1
    const until = state.now() + state.modes.graceSeconds * 1000
    grant.graces = grant.graces.filter((entry) => entry.until > state.now())
    if (state.modes.graceSeconds > 0) grant.graces.push({ token: spent, until, pair })
    return pair
  }

  /** Spends a refresh token for a new pair. */
  function refresh(app: App, token: string): TokenPair {
    const grant = byRefreshToken.get(token)
    if (!grant || grant.clientId !== app.client_id) throw INVALID_TOKEN()
    const user = refuseByUser(grant, app)
    if (token !== grant.refreshToken) return reuse(grant, token, app, user)
    if (grant.refreshExpiresAt <= state.now()) throw INVALID_TOKEN()
    return renew(grant, app, user)
  }

  return {
    codes,
    byRefreshToken,
    byAccessToken,
    issued,
    issueCode,
    exchange,
    refresh,
    /** Number of refreshes that succeeded. */
    refreshCount: () => refreshes,
    /** A token of the app itself: no user, no refresh token. */
    appToken: (app: App): TokenPair => pairOf(newAccessToken(app, null, app.scopes), app.scopes),
    liveGrants: () => [...grants.values()].filter((grant) => grant.death === null),
    /** Ends the user's grants, of one app or of all, as the user's removal of the app does. Returns how many. */
    revoke(userId: string, clientId?: string): number {
      const fits = (grant: Grant) => grant.userId === userId && (clientId ?? grant.clientId) === grant.clientId
      const hit = [...grants.values()].filter((grant) => grant.death === null && fits(grant))
      for (const grant of hit) kill(grant, 'revoked')
      return hit.length
    },
    /** Lets access tokens expire now, of one user or of all; the grants stay alive. Returns how many. */
    expireAccessTokens(userId?: string): number {
      const now = state.now()
      const isLive = (record: AccessRecord) => !record.dead && record.expiresAt > now
      const hit = [...byAccessToken.values()].filter(
        (record) => isLive(record) && (userId ?? record.userId) === record.userId,
      )
      for (const record of hit) record.expiresAt = now
      return hit.length
    },
    clear() {
      for (const map of [codes, grants, byRefreshToken, byAccessToken]) map.clear()
      issued.length = 0
      refreshes = 0
    },
  }
}

export type Grants = ReturnType<typeof createGrants>

/** A verifier where none was announced is refused too, else PKCE could be stripped. @see RFC 9700 section 2.1.1 */
function verifierFits(pending: PendingCode, verifier: string | null): boolean {
  if (pending.challenge === null || verifier === null) return pending.challenge === verifier
  return challengeOf(verifier, pending.challengeMethod) === pending.challenge
}
