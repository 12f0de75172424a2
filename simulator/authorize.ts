import { authorizePage, refusalPage } from './authorize-page.ts'
import type { Grants } from './grants.ts'
import { Refusal, type ZoomReply } from './refusal.ts'
import type { App, State, User } from './state.ts'
import type { ZoomRequest } from './zoom-request.ts'

/** The query of an authorize request. @see RFC 6749 section 4.1.1, RFC 7636 section 4.3 */
export interface AuthorizeParameters {
  response_type?: string
  client_id: string
  redirect_uri: string
  state?: string
  code_challenge?: string
  code_challenge_method?: string
  scope?: string
}

interface Checked {
  app: App
  redirectUri: string
  challenge: string | null
  challengeMethod: 'plain' | 'S256'
}

const CHALLENGE = /^[A-Za-z0-9._~-]{43,128}$/
const PARAMETERS = ['response_type', 'client_id', 'redirect_uri', 'state', 'code_challenge', 'code_challenge_method']

const html = (status: number, body: string): ZoomReply => ({ status, body })
const refuse = (code: number, text: string) => new Refusal(html(400, refusalPage(code, text)))

/** Zoom's consent page: the checks, the page itself, and the redirect back. */
export function createAuthorize(state: State, grants: Grants) {
  function check(given: Partial<AuthorizeParameters>): Checked {
    const { response_type: responseType = 'code', client_id: clientId = '', redirect_uri: redirectUri = '' } = given
    const app = state.apps.get(clientId)
    if (!app) throw refuse(4702, 'Invalid client_id.')
    if (app.disabled) throw refuse(4717, 'The app has been disabled.')
    if (responseType !== 'code') throw refuse(4700, 'Invalid response_type: expected code.')
    if (!isAllowedRedirect(app, redirectUri)) throw refuse(4709, 'Invalid redirect: it is not on the app’s allow list.')
    if (given.scope !== undefined && state.modes.refuseScopeParameter) {
      throw refuse(4711, 'Invalid scope: scopes are fixed in the app.')
    }
    const method = given.code_challenge_method ?? 'plain'
    if (method !== 'plain' && method !== 'S256') throw refuse(4700, 'Invalid code_challenge_method.')
    const challenge = given.code_challenge ?? null
    if (challenge === null && given.code_challenge_method !== undefined) throw refuse(4700, 'Missing code_challenge.')
    if (challenge !== null && !CHALLENGE.test(challenge)) throw refuse(4700, 'Invalid code_challenge.')
    return { app, redirectUri, challenge, challengeMethod: method }
  }

  /** The user consents: issues a code and says where the browser goes with it. @throws Refusal */
  function consent(given: Partial<AuthorizeParameters>, user: User): { code: string; location: string } {
    const { app, redirectUri, challenge, challengeMethod } = check(given)
    if (app.kind === 'account' && user.role === 'member')
      throw refuse(4700, 'You do not have permission to add this app for your account; ask your Zoom admin.')
    const code = grants.issueCode({
      clientId: app.client_id,
      userId: user.id,
      redirectUri,
      challenge,
      challengeMethod,
    })
    return { code, location: withQuery(redirectUri, { code, state: given.state }) }
  }

  const redirect = (location: string): ZoomReply => ({ status: 302, headers: { location }, body: '' })

  function activeUser(key: string): User {
    const user = state.findUser(key)
    if (user?.status !== 'active') throw refuse(4700, 'No such active user.')
    return user
  }

  return {
    consent,
    /** GET shows the page, or goes straight back where the browser is signed in already; POST is the page's form. */
    handle({ method, query, form }: ZoomRequest): ZoomReply {
      const sent = method === 'POST' ? (form ?? new URLSearchParams()) : query
      const given: Partial<AuthorizeParameters> = Object.fromEntries(
        [...PARAMETERS, 'scope'].flatMap((name) => (sent.has(name) ? [[name, sent.get(name)]] : [])),
      )
      if (given.response_type === undefined) throw refuse(4700, 'Invalid response_type: expected code.')
      const { app, redirectUri } = check(given)
      if (method === 'POST' && sent.has('decline')) {
        return redirect(withQuery(redirectUri, { error: 'access_denied', state: given.state }))
      }
      if (method === 'POST') return redirect(consent(given, activeUser(sent.get('user_id') ?? '')).location)
      const signedIn = state.modes.signedInUser
      if (signedIn !== null) return redirect(consent(given, activeUser(signedIn)).location)
      const fields = PARAMETERS.flatMap((name): [string, string][] =>
        query.has(name) ? [[name, query.get(name) ?? '']] : [],
      )
      const users = [...state.users.values()].filter((user) => user.status === 'active')
      return html(200, authorizePage({ app, users, fields }))
    },
  }
}

function isAllowedRedirect(app: App, uri: string): boolean {
  if (app.redirect_uris !== null) return app.redirect_uris.includes(uri)
  return URL.canParse(uri) && /^https?:$/.test(new URL(uri).protocol)
}

function withQuery(uri: string, values: Record<string, string | undefined>): string {
  const url = new URL(uri)
  for (const [name, value] of Object.entries(values)) if (value !== undefined) url.searchParams.set(name, value)
  return url.href
}
