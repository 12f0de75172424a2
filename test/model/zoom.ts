import { createGrants, type Grant } from '../../simulator/grants.ts'
import { createOAuth } from '../../simulator/oauth.ts'
import { Refusal, type ZoomReply as SimulatedReply } from '../../simulator/refusal.ts'
import { createState } from '../../simulator/state.ts'
import type { ZoomRequest as SimulatedRequest } from '../../simulator/zoom-request.ts'
import type { ZoomReply } from '../../src/zoom/http.ts'
import type { TokenSet } from '../../src/zoom/token-set.ts'
import { tokenSetOf } from '../../src/zoom/token-set.ts'

/** What Zoom does not document; every run draws a combination. */
export interface ZoomModes {
  /** A refresh token that is used again ends the whole grant. */
  familyRevocation: boolean
  refreshKillsAccessToken: boolean
  /** 4741 where a later authorisation ended the grant, else a bare invalid_grant. */
  namesSuperseded: boolean
  /** How long a rotated token is answered with the pair it was rotated to. */
  graceSeconds: 0 | 30
}

/** What Zoom, or a gateway before it, makes of a refresh. */
export type Effect =
  | 'normal'
  | '500 before'
  | '500 after'
  | '429'
  | 'invalid_client'
  | 'blocked'
  | 'unknown refusal'
  | 'unreadable after'

export const CLIENT = { clientId: 'model-app', clientSecrets: ['model-secret'] }
const REDIRECT_URI = 'https://latchkey.example.com/zoom/oauth/callback'

/** Zoom's truth of a refresh token. `spent`: rotated, whoever has its successor. */
export type Fate = 'live' | 'spent' | NonNullable<Grant['death']> | 'unknown'

export type ModelZoom = ReturnType<typeof createModelZoom>

/** The strict simulator's own token logic, called directly: what reaches it, and when, is for the commands to say. */
export function createModelZoom(modes: ZoomModes) {
  const state = createState()
  Object.assign(state.modes, modes)
  const app = state.upsertApp({ client_id: CLIENT.clientId, client_secrets: CLIENT.clientSecrets })
  const grants = createGrants(state)
  const oauth = createOAuth(state, grants)

  function ask(endpoint: 'token' | 'revoke', form: Record<string, string>): ZoomReply {
    state.advanceClock(1) // Zoom's tokens say when they were issued, in seconds
    const basic = Buffer.from(`${CLIENT.clientId}:${CLIENT.clientSecrets[0]}`).toString('base64')
    const request = { query: new URLSearchParams(), headers: { authorization: `Basic ${basic}` } }
    try {
      return replyOf(oauth[endpoint]({ ...request, form: new URLSearchParams(form) } as unknown as SimulatedRequest))
    } catch (error) {
      if (error instanceof Refusal) return replyOf(error.reply)
      throw error
    }
  }
  const refresh = (refreshToken: string) => ask('token', { grant_type: 'refresh_token', refresh_token: refreshToken })

  function answer(refreshToken: string, effect: Effect): ZoomReply {
    if (effect === 'normal') return refresh(refreshToken)
    if (effect === '500 after') return withStatus(500, refresh(refreshToken))
    if (effect === 'unreadable after') return { ...refresh(refreshToken), body: undefined }
    return UNTOUCHED[effect]
  }

  return {
    passTime: (seconds: number) => state.advanceClock(seconds),
    addUser: (email: string) => state.upsertUser({ email }).id,
    answer,
    revokeByAccessToken: (accessToken: string) => ask('revoke', { token: accessToken }),
    /** The user agrees, and the code is exchanged: an earlier grant of his is dead from here on. */
    authorize(userId: string): TokenSet {
      state.advanceClock(1)
      const place = { clientId: CLIENT.clientId, userId, redirectUri: REDIRECT_URI }
      const code = grants.issueCode({ ...place, challenge: null, challengeMethod: 'S256' })
      const tokens = tokenSetOf(grants.exchange(app, { code, redirectUri: REDIRECT_URI, verifier: null }))
      if (!tokens) throw new Error('the simulator gave no pair')
      return tokens
    },
    /** The user removes the app. */
    revoke: (userId: string) => grants.revoke(userId, CLIENT.clientId),
    expireAccessTokens: (userId: string) => grants.expireAccessTokens(userId),
    /** What the API makes of an access token. */
    judgeAccess(accessToken: string): { userId: string | null; isLive: boolean } {
      const record = grants.byAccessToken.get(accessToken)
      const isLive = record !== undefined && !record.dead && record.expiresAt > state.now()
      return { userId: record?.userId ?? null, isLive }
    },
    fateOf(refreshToken: string | null): Fate {
      const grant = refreshToken === null ? undefined : grants.byRefreshToken.get(refreshToken)
      if (!grant) return 'unknown'
      if (grant.refreshToken !== refreshToken) return 'spent'
      return grant.death ?? 'live'
    },
    userOf: (refreshToken: string) => grants.byRefreshToken.get(refreshToken)?.userId,
    liveRefreshToken: (userId: string) =>
      grants.liveGrants().find((grant) => grant.userId === userId)?.refreshToken ?? null,
  }
}

const replyOf = ({ status, headers = {}, body }: SimulatedReply): ZoomReply => ({ status, headers, body })
const withStatus = (status: number, reply: ZoomReply): ZoomReply => ({ ...reply, status, body: undefined })
const json = (status: number, body: object, headers = {}): ZoomReply => ({ status, headers, body })

/** Answers given before the token is looked at. */
const UNTOUCHED = {
  '500 before': json(500, {}),
  '429': json(429, { code: 429, message: 'You have reached the limit.' }, { 'retry-after': '7' }),
  invalid_client: json(401, { reason: 'Invalid client_id or client_secret', error: 'invalid_client' }),
  blocked: json(400, {
    code: 4738,
    reason: 'The app has been disabled by the administrator.',
    error: 'invalid_request',
  }),
  'unknown refusal': json(400, { code: 4732, reason: 'Internal error, try again. (4732)', error: 'invalid_request' }),
}
