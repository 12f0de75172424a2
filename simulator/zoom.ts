import type { IncomingMessage, ServerResponse } from 'node:http'
import { createAuthorize } from './authorize.ts'
import { createFaults, type Fault } from './faults.ts'
import { createGrants } from './grants.ts'
import { createLog } from './log.ts'
import { createMints } from './mints.ts'
import { createOAuth } from './oauth.ts'
import { apiRefusal, Refusal, type ZoomReply } from './refusal.ts'
import { createRest } from './rest.ts'
import type { State } from './state.ts'
import { type Pause, playFault, sendReply } from './wire.ts'
import { basicCredentials, bearerToken, readRequest, type ZoomRequest } from './zoom-request.ts'

/** The simulated Zoom: OAuth, REST, their faults and the log of both. */
export function createZoom(state: State, pause: Pause) {
  const grants = createGrants(state)
  const mints = createMints(state, grants)
  const authorize = createAuthorize(state, grants)
  const oauth = createOAuth(state, grants)
  const rest = createRest(state, grants, mints)
  const faults = createFaults(state)
  const log = createLog(state)

  /** Notes who calls, before anything is decided: faults match on it and the log shows it. */
  function identify(request: ZoomRequest) {
    const { facts, form, query, headers } = request
    const bearer = bearerToken(headers.authorization)
    const code = form?.get('code') ?? null
    const refreshToken = form?.get('refresh_token') ?? form?.get('token') ?? null
    const pending = code === null ? undefined : grants.codes.get(code)
    const grant = refreshToken === null ? undefined : grants.byRefreshToken.get(refreshToken)
    const access = grants.byAccessToken.get(bearer ?? refreshToken ?? '')
    const basic = basicCredentials(headers.authorization)
    facts.grantType = form?.get('grant_type') ?? null
    facts.credential = bearer ?? refreshToken ?? code
    facts.clientId = access?.clientId ?? basic?.id ?? form?.get('client_id') ?? query.get('client_id')
    facts.userId = access?.userId ?? grant?.userId ?? pending?.userId ?? form?.get('user_id') ?? null
  }

  function route(request: ZoomRequest): ZoomReply {
    const { method, path } = request
    if (path.startsWith('/v2/')) return rest.handle(request)
    if (path === '/oauth/token' && method === 'POST') return oauth.token(request)
    if (path === '/oauth/revoke' && method === 'POST') return oauth.revoke(request)
    if (path === '/oauth/authorize' && (method === 'GET' || method === 'POST')) return authorize.handle(request)
    throw apiRefusal(404, 2300, 'This API endpoint is not recognized.')
  }

  function answer(request: ZoomRequest): ZoomReply {
    try {
      return route(request)
    } catch (error) {
      if (error instanceof Refusal) return error.reply
      throw error
    }
  }

  async function withFault(fault: Fault, request: ZoomRequest, response: ServerResponse) {
    const { action, effect } = fault
    const worked = effect === 'before' ? answer(request) : null
    if (effect !== 'after') log.record(request, worked, fault)
    if (action.type === 'delay') await pause(action.ms)
    else if (action.type === 'hold') await faults.hold(fault.id)
    else await playFault(action, worked, response, pause)
    const late = effect === 'after' ? answer(request) : null
    if (late) log.record(request, late, fault)
    if (action.type === 'delay' || action.type === 'hold') sendWhatIsThere(response, worked ?? late)
  }

  /** A wait whose work is never done ends in a broken connection. */
  function sendWhatIsThere(response: ServerResponse, reply: ZoomReply | null) {
    if (reply) sendReply(response, reply)
    else response.socket?.destroy()
  }

  return {
    grants,
    mints,
    authorize,
    faults,
    log,
    /** Answers one request. A client that hangs up does not stop Zoom's work. */
    async serve(incoming: IncomingMessage, response: ServerResponse) {
      let request: ZoomRequest
      try {
        request = await readRequest(incoming)
      } catch (error) {
        if (error instanceof Refusal) sendReply(response, error.reply)
        return // otherwise the client went away in the middle of its own request
      }
      if (state.modes.latencyMs > 0) await pause(state.modes.latencyMs)
      identify(request)
      const fault = faults.take(request)
      if (fault) return withFault(fault, request, response)
      const reply = answer(request)
      log.record(request, reply, null)
      sendReply(response, reply)
    },
    clear() {
      for (const part of [grants, mints, rest, faults, log]) part.clear()
    },
  }
}

export type Zoom = ReturnType<typeof createZoom>
