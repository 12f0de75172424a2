import type { Grants, TokenPair } from './grants.ts'
import { apiRefusal, numberedRefusal, oauthRefusal, type ZoomReply } from './refusal.ts'
import type { App, State } from './state.ts'
import { sameSecret } from './tokens.ts'
import { basicCredentials, type ZoomRequest } from './zoom-request.ts'

/** Names that belong in a body; Zoom has refused them in a query since February 2023. */
const BODY_ONLY = ['access_token', 'refresh_token', 'token', 'code', 'client_secret']

/** Refuses a token or secret in the query string, as Zoom does. */
export function refuseQueryTokens({ query }: ZoomRequest) {
  if (!BODY_ONLY.some((name) => query.has(name))) return
  throw apiRefusal(401, 124, 'Invalid access token, this access token is not supported as query parameter string.')
}

/** The token and revoke endpoints. @see RFC 6749 sections 4.1.3 and 6 */
export function createOAuth(state: State, grants: Grants) {
  /** @throws Refusal invalid_client, 4706, 4717 */
  function authenticate(request: ZoomRequest, form: URLSearchParams): App {
    const basic = basicCredentials(request.headers.authorization)
    const id = basic?.id ?? form.get('client_id')
    const secret = basic?.secret ?? form.get('client_secret')
    if (!id || !secret) throw numberedRefusal(4706)
    const app = state.apps.get(id)
    if (!app?.client_secrets.some((expected) => sameSecret(secret, expected))) {
      throw oauthRefusal(basic ? 401 : 400, 'invalid_client', 'Invalid client_id or client_secret')
    }
    if (app.disabled) throw numberedRefusal(4717)
    return app
  }

  function grantTokens(app: App, form: URLSearchParams): TokenPair {
    const grantType = form.get('grant_type')
    if (grantType === 'client_credentials') return grants.appToken(app)
    if (grantType === 'refresh_token') {
      const token = form.get('refresh_token')
      if (!token) throw numberedRefusal(4700)
      return grants.refresh(app, token)
    }
    if (grantType !== 'authorization_code') throw numberedRefusal(grantType ? 4705 : 4706)
    const code = form.get('code')
    if (!code) throw numberedRefusal(4734)
    return grants.exchange(app, {
      code,
      redirectUri: form.get('redirect_uri') ?? '',
      verifier: form.get('code_verifier'),
    })
  }

  /** The form of a POST that has one; a parameter given twice is refused. @see RFC 6749 section 3.2 */
  function formOf(request: ZoomRequest): URLSearchParams {
    refuseQueryTokens(request)
    const { form } = request
    if (!form) throw oauthRefusal(400, 'invalid_request', 'Expected application/x-www-form-urlencoded.')
    if (new Set(form.keys()).size !== form.size) throw oauthRefusal(400, 'invalid_request', 'A parameter is repeated.')
    return form
  }

  return {
    /** POST /oauth/token */
    token(request: ZoomRequest): ZoomReply {
      const form = formOf(request)
      const pair = grantTokens(authenticate(request, form), form)
      return { status: 200, headers: { 'cache-control': 'no-store' }, body: pair }
    },
    /** POST /oauth/revoke: ends the user's whole grant for the app. By access token; by refresh token only as a mode. */
    revoke(request: ZoomRequest): ZoomReply {
      const form = formOf(request)
      const app = authenticate(request, form)
      const token = form.get('token') ?? ''
      const access = grants.byAccessToken.get(token)
      const isLive = access && !access.dead && access.expiresAt > state.now() && access.clientId === app.client_id
      const refreshed = state.modes.revokeByRefreshToken ? grants.byRefreshToken.get(token) : undefined
      const userId = isLive ? access.userId : refreshed?.refreshToken === token ? refreshed.userId : null
      if (userId === null) throw oauthRefusal(400, 'invalid_request', 'Invalid Token!')
      grants.revoke(userId, app.client_id)
      return { status: 200, body: { status: 'success' } }
    },
  }
}
