import type { Grants } from './grants.ts'
import { refuseQueryTokens } from './oauth.ts'
import { apiRefusal, type Refusal } from './refusal.ts'
import type { App, State, User } from './state.ts'
import { bearerToken, type ZoomRequest } from './zoom-request.ts'

/** The caller of a REST request: the app, the user who authorised it, and what that user granted. */
export interface Caller {
  app: App
  user: User
  scopes: string[]
}

/** What an endpoint asks for: any one of `granular` or `classic` will do; a refusal names the granular ones. */
export interface ScopeNeed {
  granular: string[]
  classic?: string[]
}

/** Zoom's refusal of a missing scope. */
export function missingScope(scopes: string[]): Refusal {
  return apiRefusal(400, 4711, `Invalid access token, does not contain scopes:[${scopes.join(', ')}].`)
}

/** @throws Refusal 4711 */
export function requireScope(caller: Caller, need: ScopeNeed) {
  const accepted = [...need.granular, ...(need.classic ?? [])]
  if (!accepted.some((scope) => caller.scopes.includes(scope))) throw missingScope(need.granular)
}

/** Reads who calls from the Bearer header, and nowhere else. @throws Refusal 124 */
export function createAuthenticate(state: State, grants: Grants) {
  return function authenticate(request: ZoomRequest): Caller {
    refuseQueryTokens(request)
    const record = grants.byAccessToken.get(bearerToken(request.headers.authorization) ?? '')
    if (!record || record.dead) throw apiRefusal(401, 124, 'Invalid access token.')
    if (record.expiresAt <= state.now()) throw apiRefusal(401, 124, 'Access token is expired.')
    const app = state.apps.get(record.clientId)
    if (!app || app.disabled) throw apiRefusal(401, 124, 'Invalid access token.')
    if (record.userId === null) throw apiRefusal(400, 124, 'This API only supports OAuth2 authorization.')
    const user = state.users.get(record.userId)
    if (user?.status !== 'active') throw apiRefusal(404, 1001, `User does not exist: ${record.userId}.`)
    return { app, user, scopes: record.scopes }
  }
}

/** The user a path names: `me`, or with an account-level app anyone of its account. @throws Refusal 4700, 1001, 1010 */
export function resolveUser(state: State, caller: Caller, key: string): User {
  if (key === 'me') return caller.user
  if (caller.app.kind === 'user') throw apiRefusal(400, 4700, 'Invalid access token: a user-level app must use me.')
  const user = state.findUser(key)
  if (!user) throw apiRefusal(404, 1001, `User does not exist: ${key}.`)
  if (user.account_id !== caller.user.account_id) {
    throw apiRefusal(404, 1010, 'User does not belong to this account.')
  }
  if (user.status !== 'active') throw apiRefusal(404, 1001, `User does not exist: ${key}.`)
  return user
}
