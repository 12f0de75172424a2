import type { FastifyPluginAsyncZod } from 'fastify-type-provider-zod'
import { z } from 'zod'
import { emptyBody, errorResponses, objectId } from '../../plugins/responses.ts'
import { accountSyncState, accountSyncStateOf, syncState, syncStateOf } from '../../plugins/sync-state.ts'
import type { MeetingSync } from './sync-service.ts'

export const syncRoutes: FastifyPluginAsyncZod<{
  meetingSync: Pick<MeetingSync, 'requestOfHost' | 'requestOfOrganization'>
}> = async (app, { meetingSync }) => {
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
      reply.status(202).send({ sync: syncStateOf(await meetingSync.requestOfHost(tenantId, params.id)) }),
  )

  app.post(
    '/organizations/:id/sync',
    {
      config: { caller: 'hosts:write' },
      schema: {
        operationId: 'syncOrganization',
        tags: ['organizations'],
        params: z.object({ id: objectId() }),
        body: emptyBody,
        response: { 202: z.object({ sync: accountSyncState }), ...errorResponses },
      },
    },
    async ({ tenantId, params }, reply) => {
      const state = await meetingSync.requestOfOrganization(tenantId, params.id)
      return reply.status(202).send({ sync: accountSyncStateOf(state) })
    },
  )
}
