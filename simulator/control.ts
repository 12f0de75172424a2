import type { IncomingMessage, ServerResponse } from 'node:http'
import type { z } from 'zod'
import { type FaultInput, faultInput } from './fault-schema.ts'
import type { Controls } from './handle.ts'
import {
  appInput,
  clockInput,
  expireInput,
  joinInput,
  type LogFilter,
  meetingInput,
  modesInput,
  recallCallInput,
  releaseInput,
  revokeInput,
  userInput,
  webhookInput,
} from './schemas.ts'
import { ControlError, parseInput, type State } from './state.ts'
import { shortHash } from './tokens.ts'
import { sendReply } from './wire.ts'
import type { Zoom } from './zoom.ts'
import { readRequest, type ZoomRequest } from './zoom-request.ts'

type Handler = (request: ZoomRequest) => unknown

interface Internals {
  state: State
  zoom: Pick<Zoom, 'faults' | 'grants'>
}

/** The control API: the handle's functions over HTTP, in JSON. */
export function createControl(sim: Controls, { state, zoom }: Internals) {
  /** A handler that checks the body first; what it refuses answers 400 and says what was expected. */
  function withBody<S extends z.ZodType>(schema: S, what: string, work: (body: z.output<S>) => unknown): Handler {
    return ({ body }) => {
      let value: unknown
      try {
        value = body.length === 0 ? {} : JSON.parse(body.toString('utf8'))
      } catch {
        throw new ControlError(`Not a valid ${what}`, ['body: expected JSON'])
      }
      return work(parseInput(schema, value, what))
    }
  }

  const setFault = (fault: FaultInput) => {
    const { id } = sim.setFault(fault)
    return { id }
  }

  const routes: Record<string, Handler> = {
    'POST /_sim/apps': withBody(appInput, 'app', (app) => ({ ...sim.addApp(app), client_secrets: undefined })),
    'POST /_sim/users': withBody(userInput, 'user', sim.addUser),
    'POST /_sim/meetings': withBody(meetingInput, 'meeting', sim.addMeeting),
    'POST /_sim/modes': withBody(modesInput, 'set of modes', sim.setModes),
    'POST /_sim/faults': withBody(faultInput, 'fault', setFault),
    'POST /_sim/faults/release': withBody(releaseInput, 'release', ({ id }) => done(sim.release(id))),
    'POST /_sim/reset': () => done(sim.reset()),
    'POST /_sim/clock': withBody(clockInput, 'clock change', (body) => done(sim.advanceClock(body.advance_seconds))),
    'POST /_sim/revoke': withBody(revokeInput, 'revocation', (body) => ({
      revoked: sim.revokeGrant(body.user_id, body.client_id),
    })),
    'POST /_sim/expire': withBody(expireInput, 'expiry', (body) => ({ expired: sim.expireAccessTokens(body.user_id) })),
    'POST /_sim/join': withBody(joinInput, 'join', sim.join),
    'POST /_sim/webhook': withBody(webhookInput, 'event', sim.deliverEvent),
    'POST /_sim/recall/call': withBody(recallCallInput, 'Recall call', sim.recallCall),
    'DELETE /_sim/faults': () => done(sim.clearFaults()),
    'GET /_sim/apps': () => ({ data: [...state.apps.values()].map((app) => ({ ...app, client_secrets: undefined })) }),
    'GET /_sim/users': () => ({ data: [...state.users.values()] }),
    'GET /_sim/meetings': () => ({ data: [...state.meetings.values()] }),
    'GET /_sim/modes': () => state.modes,
    'GET /_sim/faults': () => ({ data: zoom.faults.list() }),
    'GET /_sim/log': ({ query }) => ({ data: sim.log(Object.fromEntries(query) as LogFilter) }),
    'GET /_sim/issued': () => ({ data: sim.issued }),
    'GET /_sim/grants': () => ({
      refreshes: sim.refreshes,
      data: zoom.grants.liveGrants().map((grant) => ({
        user_id: grant.userId,
        client_id: grant.clientId,
        scopes: grant.scopes,
        authorized_at: new Date(grant.authorizedAt).toISOString(),
        refresh_token_hash: shortHash(grant.refreshToken),
      })),
    }),
    'GET /_sim/health': () => ({ status: 'ok' }),
  }

  return {
    /** Answers one request under /_sim. */
    async serve(incoming: IncomingMessage, response: ServerResponse) {
      const request = await readRequest(incoming)
      const handler = routes[`${request.method} ${request.path.replace(/\/$/, '')}`]
      if (!handler) return sendReply(response, unknownRoute(Object.keys(routes)))
      try {
        sendReply(response, { status: 200, body: await handler(request) })
      } catch (error) {
        if (!(error instanceof ControlError)) throw error
        const body = { error: 'invalid_request', message: error.message, expected: error.expected }
        sendReply(response, { status: 400, body })
      }
    },
  }
}

const done = (_: unknown) => ({ status: 'done' })

const unknownRoute = (known: string[]) => ({
  status: 404,
  body: { error: 'not_found', message: 'No such control endpoint', expected: known },
})
