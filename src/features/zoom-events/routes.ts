import type { FastifyRequest } from 'fastify'
import type { FastifyPluginAsyncZod } from 'fastify-type-provider-zod'
import type { Refusals } from '../../audit/refusals.ts'
import { AppError } from '../../errors.ts'
import { withDeadline } from '../../lib/deadline.ts'
import type { FailureLimit } from '../../plugins/failure-limit.ts'
import { addressOf } from '../../plugins/http-edge.ts'
import { appParams, eventResponses } from './schemas.ts'
import type { ZoomEventService } from './service.ts'

const BODY_LIMIT_BYTES = 256 * 1024
const DEADLINE_MS = 2500 // Zoom gives up after 3 s, and repeats what it gave up

export interface ZoomEventRouteOptions {
  events: Pick<ZoomEventService, 'receive'>
  failureLimit: FailureLimit
  refusals: Pick<Refusals, 'note'>
}

const tooSlow = () => new AppError('store_unavailable', 'The event could not be stored in time; send it again.')

/** What Zoom calls. The signature covers the bytes received, so they are not parsed before it is checked. */
export const zoomEventRoutes: FastifyPluginAsyncZod<ZoomEventRouteOptions> = async (
  app,
  { events, failureLimit, refusals },
) => {
  app.removeAllContentTypeParsers()
  app.addContentTypeParser(
    'application/json',
    { parseAs: 'buffer', bodyLimit: BODY_LIMIT_BYTES },
    (_request, body, done) => done(null, body),
  )

  function receive(request: FastifyRequest, zoomAppId: string | null) {
    const body = Buffer.isBuffer(request.body) ? request.body : Buffer.alloc(0)
    const address = addressOf(request)
    const refuse = (reason: string) => {
      const unverified = { action: `auth.zoom_${reason}`, outcome: 'unauthenticated', status: 401 }
      refusals.note({ ...unverified, tenantId: null, actor: 'anonymous', requestId: request.id, address })
      return failureLimit.refuse(address, reason)
    }
    const received = { zoomAppId, rawHeaders: request.raw.rawHeaders, body }
    return withDeadline(events.receive(received, refuse), DEADLINE_MS, tooSlow)
  }

  const common = { tags: ['zoom-events'], response: eventResponses }
  const config = { caller: 'zoom' } as const
  app.post(
    '/webhook',
    { config, bodyLimit: BODY_LIMIT_BYTES, schema: { operationId: 'receiveZoomEvent', ...common } },
    async (request, reply) => {
      const answer = await receive(request, null)
      return answer ? answer : reply.status(204).send(null)
    },
  )
  app.post(
    '/webhook/:zoom_app_id',
    {
      config,
      bodyLimit: BODY_LIMIT_BYTES,
      schema: { operationId: 'receiveZoomAppEvent', params: appParams, ...common },
    },
    async (request, reply) => {
      const answer = await receive(request, request.params.zoom_app_id)
      return answer ? answer : reply.status(204).send(null)
    },
  )
}
