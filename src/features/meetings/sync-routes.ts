import type { FastifyPluginAsyncZod } from 'fastify-type-provider-zod'
import { z } from 'zod'
import { emptyBody, errorResponses, objectId } from '../../plugins/responses.ts'
import { syncState, syncStateOf } from '../../plugins/sync-state.ts'
import type { MeetingSync } from './sync-service.ts'

export const syncRoutes: FastifyPluginAsyncZod<{ meetingSync: Pick<MeetingSync, 'request'> }> = async (
  app,
  { meetingSync },
) => {
  app.post(
    '/hosts/:id/sync',
    {
      config: { caller: 'hosts:write' },
      schema: {
        operationId: 'syncHost',
        tags: ['hosts'],
        params: z.object({ id: objectId() }),
        body: emptyBody,
        response: { 202: z.object({ sync: syncState }), ...errorResponses },
      },
    },
    async ({ tenantId, params }, reply) =>
      reply.status(202).send({ sync: syncStateOf(await meetingSync.request(tenantId, params.id)) }),
  )
}
