import type { FastifyPluginAsyncZod } from 'fastify-type-provider-zod'
import { errorResponses } from '../../plugins/responses.ts'
import { connectSessionResponse, createConnectSessionBody } from './schemas.ts'
import type { ConnectSessionService } from './service.ts'

/** `POST /v1/connect-sessions`. */
export const connectSessionRoutes: FastifyPluginAsyncZod<{
  connectSessions: Pick<ConnectSessionService, 'create'>
}> = async (app, { connectSessions }) => {
  app.post(
    '/connect-sessions',
    {
      config: { caller: 'connect' },
      schema: {
        operationId: 'createConnectSession',
        tags: ['connect'],
        body: createConnectSessionBody,
        response: { 201: connectSessionResponse, ...errorResponses },
      },
    },
    async ({ tenantId, body }, reply) => {
      const { id, url, expiresAt } = await connectSessions.create(tenantId, {
        externalUserId: body.external_user_id,
        kind: body.kind,
        returnUrl: body.return_url,
        expectedEmail: body.expected_email,
        expiresInSeconds: body.expires_in_seconds,
        onOtherZoomUser: body.on_other_zoom_user,
      })
      return reply.status(201).send({ id, url, expires_at: expiresAt.toISOString() })
    },
  )
}
