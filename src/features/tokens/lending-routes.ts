import type { FastifyPluginAsyncZod } from 'fastify-type-provider-zod'
import { errorResponses } from '../../plugins/responses.ts'
import type { LendingService } from './lending.ts'
import { lendBody, lendParams, lendResponse } from './schemas.ts'

/** A POST, since it may renew the token and is written down; answered anew each time, Idempotency-Key or not. */
export const lendingRoutes: FastifyPluginAsyncZod<{ lending: LendingService }> = async (app, { lending }) => {
  app.post(
    '/hosts/:id/access-token',
    {
      config: { caller: 'tokens:read', isAnsweredAnew: true },
      schema: {
        operationId: 'lendAccessToken',
        tags: ['hosts'],
        params: lendParams,
        body: lendBody,
        response: { 200: lendResponse, ...errorResponses },
      },
    },
    async ({ tenantId, params, body, id: requestId }, reply) => {
      const { accessToken, expiresAt, scopes } = await lending.lend(tenantId, {
        hostId: params.id,
        leastSeconds: body.min_ttl_seconds,
        requestId,
        elapsedMs: () => Math.round(reply.elapsedTime),
      })
      return { access_token: accessToken, expires_at: expiresAt.toISOString(), scopes }
    },
  )
}
