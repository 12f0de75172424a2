import { createServer, type ServerResponse } from 'node:http'
import { listenAndTell, randomToken } from './child.ts'

/** What this stand-in was asked since it started. */
export interface ZoomCalls {
  /** Requests for a join, OBF or ZAK token. */
  mints: number
  /** Requests to the token endpoint: exchanges of codes and refreshes. */
  grants: number
}

// A Zoom that thinks of nothing: it checks neither tokens nor scopes, so that it costs next to nothing. What Zoom refuses is
// the simulator's business. The tokens have the length of real ones.
const MINTED = JSON.stringify({ token: randomToken(400) })
const NO_SCOPE = JSON.stringify({
  code: 4711,
  message: 'Invalid access token, does not contain scopes:[user:read:user].',
})
const SCOPES = 'meeting:read:local_recording_token user:read:token'
const ACCESS_TOKEN_LIFE_SECONDS = 3600

const calls: ZoomCalls = { mints: 0, grants: 0 }

function answer(response: ServerResponse, status: number, body: string): void {
  response.writeHead(status, { 'content-type': 'application/json;charset=UTF-8', 'content-length': body.length })
  response.end(body)
}

/** A pair for the user whom the code names; access tokens are JWT-shaped as Zoom's are. */
function pairFor(user: string): string {
  const claims = Buffer.from(JSON.stringify({ uid: user, aid: 'bench-account', pad: randomToken(300) })).toString(
    'base64url',
  )
  return JSON.stringify({
    access_token: `${randomToken(40)}.${claims}.${randomToken(86)}`,
    refresh_token: randomToken(600),
    token_type: 'bearer',
    expires_in: ACCESS_TOKEN_LIFE_SECONDS,
    scope: SCOPES,
  })
}

const server = createServer({ keepAliveTimeout: 60_000 }, (request, response) => {
  const url = request.url ?? '/'
  if (url.startsWith('/v2/meetings/') || url.startsWith('/v2/users/me/token')) {
    calls.mints += 1
    answer(response, 200, MINTED)
  } else if (url === '/oauth/token') {
    calls.grants += 1
    let form = ''
    request.on('data', (chunk) => {
      form += chunk
    })
    request.on('end', () => answer(response, 200, pairFor(new URLSearchParams(form).get('code') ?? 'unknown')))
  } else answer(response, 400, NO_SCOPE) // GET /users/me: an app with the scopes of Recall's guide may not call it
})

process.on('message', () => process.send?.(calls))
listenAndTell(server)
