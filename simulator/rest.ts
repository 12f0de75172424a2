import { type Caller, createAuthenticate } from './bearer.ts'
import type { Grants } from './grants.ts'
import type { Mints } from './mints.ts'
import { createRateLimit, type RateLabel } from './rate-limit.ts'
import { apiRefusal, type ZoomReply } from './refusal.ts'
import { createDirectoryRoutes } from './rest-directory.ts'
import { createMintRoutes } from './rest-mint.ts'
import type { State } from './state.ts'
import type { ZoomRequest } from './zoom-request.ts'

interface Route {
  /** Path parts after /v2; `*` stands for any one part. */
  parts: string[]
  label: RateLabel
  handle: (request: ZoomRequest, caller: Caller) => ZoomReply
}

/** Zoom's REST API under /v2, as far as Latchkey uses it. */
export function createRest(state: State, grants: Grants, mints: Mints) {
  const authenticate = createAuthenticate(state, grants)
  const rateLimit = createRateLimit(state)
  const mint = createMintRoutes(state, mints)
  const directory = createDirectoryRoutes(state, mint)
  const route = (path: string, label: RateLabel, handle: Route['handle']): Route => ({
    parts: path.split('/'),
    label,
    handle,
  })
  const routes = [
    route('meetings/*/jointoken/local_recording', 'light', mint.joinToken),
    route('webinars/*/jointoken/local_recording', 'light', mint.webinarJoinToken),
    route('users/*/token', 'light', mint.userToken),
    route('users/*/zak', 'light', mint.userZak),
    route('users/*', 'light', directory.user),
    route('users', 'medium', directory.users),
    route('users/*/settings', 'medium', directory.settings),
    route('users/*/meetings', 'medium', directory.meetings),
    route('meetings/*', 'light', directory.meeting),
  ]

  const fits = ({ parts }: Route, segments: string[]) =>
    parts.length === segments.length - 1 && parts.every((part, index) => part === '*' || part === segments[index + 1])

  return {
    /** Answers one request under /v2. @throws Refusal */
    handle(request: ZoomRequest): ZoomReply {
      const found = request.method === 'GET' ? routes.find((one) => fits(one, request.segments)) : undefined
      if (!found) throw apiRefusal(404, 2300, 'This API endpoint is not recognized.')
      const caller = authenticate(request)
      const headers = rateLimit.count(caller.user.account_id, found.label)
      const reply = found.handle(request, caller)
      return { ...reply, headers: { ...headers, ...reply.headers } }
    },
    clear() {
      rateLimit.clear()
      directory.clear()
    },
  }
}
