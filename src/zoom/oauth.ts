import { createHash, randomBytes } from 'node:crypto'
import * as z from 'zod'
import { type RejectionReason, type TokenRefusal, tokenRefusalOf } from './faults.ts'
import { type ZoomHttp, type ZoomReply, ZoomTransportError } from './http.ts'
import { identifier } from './identifier.ts'
import { retryAfterSeconds } from './retry-after.ts'
import { type TokenSet, tokenSetOf } from './token-set.ts'

/** Of a Zoom app. Two secrets while one replaces the other, the new one first. */
export interface ClientCredentials {
  clientId: string
  clientSecrets: string[]
}

/** What became of a refresh token that was, or was not, presented. Only `rejected` condemns it. */
export type RefreshOutcome =
  | { outcome: 'rotated'; tokens: TokenSet }
  /** Provably never left: may be sent again at once. */
  | { outcome: 'not_sent' }
  | { outcome: 'rate_limited'; retryAfterSeconds: number }
  /** Zoom refuses the app; says nothing about the grant. */
  | { outcome: 'app_fault'; zoomCode?: number }
  /** An admin disabled the app for this user (4738). */
  | { outcome: 'blocked' }
  /** `bare`: what our own lost rotation also causes. */
  | { outcome: 'rejected'; reason: RejectionReason; bare: boolean }
  /** Another parsed 4xx: no verdict, nothing spent. */
  | { outcome: 'refused'; status: number }
  /** 5xx: Zoom may have rotated. */
  | { outcome: 'server_error'; status: number }
  /** No answer that can be believed: Zoom may have rotated. */
  | { outcome: 'ambiguous'; why: string }

type ExchangeOutcome =
  | { outcome: 'granted'; tokens: TokenSet }
  | { outcome: 'code_refused' }
  | { outcome: 'app_fault' }
  | { outcome: 'unavailable' }

type RevokeOutcome =
  | { outcome: 'revoked' }
  | { outcome: 'refused' }
  | { outcome: 'app_fault' }
  | { outcome: 'unavailable' }

export interface ZoomOAuth {
  exchangeCode(
    request: ClientCredentials & { code: string; redirectUri: string; codeVerifier: string },
  ): Promise<ExchangeOutcome>
  refresh(request: ClientCredentials & { refreshToken: string; timeoutMs: number }): Promise<RefreshOutcome>
  revoke(request: ClientCredentials & { accessToken: string }): Promise<RevokeOutcome>
}

type Sent = ZoomReply | ZoomTransportError

/**
 * The token endpoint. No answer of Zoom's makes these throw: each ends in an outcome that says what is known about what was
 * presented. `refresh` is never repeated here, save with the second client secret, when the first was refused and so nothing spent.
 * @see https://developers.zoom.us/docs/integrations/oauth/
 */
export function createZoomOAuth({ http }: { http: Pick<ZoomHttp, 'send'> }): ZoomOAuth {
  async function post(
    path: string,
    app: ClientCredentials,
    form: Record<string, string>,
    timeoutMs?: number,
  ): Promise<Sent> {
    const endMs = timeoutMs === undefined ? undefined : performance.now() + timeoutMs
    let sent: Sent = new ZoomTransportError('not_sent', 'NO_CLIENT_SECRET')
    for (const secret of app.clientSecrets) {
      const basic = Buffer.from(`${app.clientId}:${secret}`).toString('base64')
      const limit = endMs === undefined ? {} : { timeoutMs: Math.max(1, endMs - performance.now()) }
      sent = await http
        .send({ method: 'POST', path, form, headers: { authorization: `Basic ${basic}` }, ...limit })
        .catch(transportErrorOnly)
      if (!isSecretRefused(sent)) return sent
    }
    return sent
  }

  return {
    async exchangeCode({ code, redirectUri, codeVerifier, ...app }) {
      const form = { grant_type: 'authorization_code', code, redirect_uri: redirectUri, code_verifier: codeVerifier }
      return judgeExchange(await post('/oauth/token', app, form))
    },
    async refresh({ refreshToken, timeoutMs, ...app }) {
      const form = { grant_type: 'refresh_token', refresh_token: refreshToken }
      return judgeRefresh(await post('/oauth/token', app, form, timeoutMs))
    },
    async revoke({ accessToken, ...app }) {
      return judgeRevoke(await post('/oauth/revoke', app, { token: accessToken }))
    },
  }
}

function judgeRefresh(sent: Sent): RefreshOutcome {
  if (sent instanceof ZoomTransportError) {
    return sent.kind === 'not_sent' ? { outcome: 'not_sent' } : { outcome: 'ambiguous', why: sent.kind }
  }
  const { status } = sent
  if (isSuccess(sent)) {
    const tokens = tokenSetOf(sent.body)
    return tokens ? { outcome: 'rotated', tokens } : { outcome: 'ambiguous', why: 'no_usable_token_pair' }
  }
  if (status < 400) return { outcome: 'ambiguous', why: 'redirect' }
  if (status === 429) return { outcome: 'rate_limited', retryAfterSeconds: retryAfterSeconds(sent.headers) }
  if (status >= 500) return { outcome: 'server_error', status }
  // 408 comes from something before Zoom that waited for it, a foreign body from something that may have
  const refusal = status === 408 ? null : tokenRefusalOf(sent)
  return refusal ? refreshRefusal(refusal, status) : { outcome: 'ambiguous', why: 'foreign_answer' }
}

function refreshRefusal(refusal: TokenRefusal, status: number): RefreshOutcome {
  switch (refusal.about) {
    case 'app':
      return { outcome: 'app_fault', ...(refusal.zoomCode === undefined ? {} : { zoomCode: refusal.zoomCode }) }
    case 'user':
      return { outcome: 'blocked' }
    case 'grant':
      return { outcome: 'rejected', reason: refusal.reason, bare: refusal.bare }
    default:
      return { outcome: 'refused', status }
  }
}

function judgeExchange(sent: Sent): ExchangeOutcome {
  if (sent instanceof ZoomTransportError) return { outcome: 'unavailable' }
  const tokens = isSuccess(sent) ? tokenSetOf(sent.body) : null
  if (tokens) return { outcome: 'granted', tokens }
  const refusal = isClientError(sent) ? tokenRefusalOf(sent) : null
  if (!refusal) return { outcome: 'unavailable' }
  return { outcome: refusal.about === 'app' ? 'app_fault' : 'code_refused' }
}

function judgeRevoke(sent: Sent): RevokeOutcome {
  if (sent instanceof ZoomTransportError) return { outcome: 'unavailable' }
  if (isSuccess(sent)) return { outcome: 'revoked' }
  const refusal = isClientError(sent) ? tokenRefusalOf(sent) : null
  if (!refusal) return { outcome: 'unavailable' }
  return { outcome: refusal.about === 'app' ? 'app_fault' : 'refused' }
}

function isSuccess({ status }: ZoomReply): boolean {
  return status >= 200 && status < 300
}

/** A 4xx that is an answer: 408 and 429 are not. */
function isClientError({ status }: ZoomReply): boolean {
  return status >= 400 && status < 500 && status !== 408 && status !== 429
}

function isSecretRefused(sent: Sent): boolean {
  if (sent instanceof ZoomTransportError || !isClientError(sent)) return false
  const refusal = tokenRefusalOf(sent)
  return refusal?.about === 'app' && refusal.isCredentials
}

function transportErrorOnly(error: unknown): ZoomTransportError {
  if (error instanceof ZoomTransportError) return error
  throw error
}

const claims = z.object({ uid: identifier, aid: identifier, iat: z.number().optional().catch(undefined) })

export interface TokenClaims {
  zoomUserId: string
  zoomAccountId: string
  /** Zoom's own clock, in Unix seconds; null where the token does not say. */
  issuedAtSeconds: number | null
}

/** Where the browser is sent to give consent. No `scope`: Zoom fixes the scopes in the app. The challenge is always S256. */
export function authorizeUrl(request: {
  oauthBaseUrl: string
  clientId: string
  redirectUri: string
  state: string
  codeChallenge: string
}): string {
  const query = new URLSearchParams({
    response_type: 'code',
    client_id: request.clientId,
    redirect_uri: request.redirectUri,
    state: request.state,
    code_challenge: request.codeChallenge,
    code_challenge_method: 'S256',
  })
  return `${request.oauthBaseUrl.replace(/\/+$/, '')}/oauth/authorize?${query}`
}

/** 256 random bits in the 43 characters that a verifier may have. @see https://www.rfc-editor.org/rfc/rfc7636#section-4.1 */
export function newPkceVerifier(): string {
  return randomBytes(32).toString('base64url')
}

/** The S256 challenge of a verifier. @see https://www.rfc-editor.org/rfc/rfc7636#section-4.2 */
export function pkceChallenge(verifier: string): string {
  return createHash('sha256').update(verifier, 'ascii').digest('base64url')
}

/**
 * User, account and time of issue in an access token received directly from Zoom, for apps that may not call `/users/me`. The
 * signature is not checked: TLS to the token endpoint vouches for it. Null when it is no JWT or lacks user or account.
 */
export function claimsOf(accessToken: string): TokenClaims | null {
  const [, payload, signature, ...rest] = accessToken.split('.')
  if (!payload || signature === undefined || rest.length > 0) return null
  try {
    const { uid, aid, iat } = claims.parse(JSON.parse(Buffer.from(payload, 'base64url').toString('utf8')))
    return { zoomUserId: uid, zoomAccountId: aid, issuedAtSeconds: iat ?? null }
  } catch {
    return null
  }
}
