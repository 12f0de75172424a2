import type { FastifyPluginAsyncZod } from 'fastify-type-provider-zod'
import { errorResponses, noContent } from '../../../plugins/responses.ts'
import {
  createZoomAppBody,
  listZoomAppsQuery,
  updateZoomAppBody,
  zoomAppParams,
  zoomAppResponse,
  zoomAppsResponse,
} from './schemas.ts'
import type { ZoomApp, ZoomAppService } from './service.ts'

const shape = (app: ZoomApp) => ({
  id: app.id,
  client_id: app.clientId,
  kind: app.kind,
  tenant_id: app.tenantId,
  redirect_uri: app.redirectUri,
  managed_by: app.managedBy,
  has_webhook_secret: app.hasWebhookSecret,
  has_previous_secret: app.hasPreviousSecret,
  has_previous_webhook_secret: app.hasPreviousWebhookSecret,
  webhook_validated_at: app.webhookValidatedAt?.toISOString() ?? null,
  events_missed_at: app.eventsMissedAt?.toISOString() ?? null,
  created_at: app.createdAt.toISOString(),
})
const config = { caller: 'operator' } as const
const tags = ['zoom-apps']

type Routes = FastifyPluginAsyncZod<{
  zoomApps: Pick<ZoomAppService, 'create' | 'list' | 'get' | 'update' | 'remove'>
}>

export const zoomAppRoutes: Routes = async (app, { zoomApps }) => {
  app.post(
    '/zoom-apps',
    {
      config,
      schema: {
        operationId: 'createZoomApp',
        tags,
        body: createZoomAppBody,
        response: { 201: zoomAppResponse, ...errorResponses },
      },
    },
    async ({ body }, reply) => {
      const created = await zoomApps.create({
        clientId: body.client_id,
        clientSecret: body.client_secret,
        kind: body.kind,
        webhookSecretToken: body.webhook_secret_token ?? null,
        redirectUri: body.redirect_uri ?? null,
        tenantId: body.tenant_id ?? null,
      })
      return reply.status(201).send(shape(created))
    },
  )

  app.get(
    '/zoom-apps',
    {
      config,
      schema: {
        operationId: 'listZoomApps',
        tags,
        querystring: listZoomAppsQuery,
        response: { 200: zoomAppsResponse, ...errorResponses },
      },
    },
    async ({ query }) => {
      const { data, nextCursor } = await zoomApps.list(query.limit, query.cursor)
      return { data: data.map(shape), next_cursor: nextCursor }
    },
  )

  app.get(
    '/zoom-apps/:id',
    {
      config,
      schema: {
        operationId: 'getZoomApp',
        tags,
        params: zoomAppParams,
        response: { 200: zoomAppResponse, ...errorResponses },
      },
    },
    async ({ params }) => shape(await zoomApps.get(params.id)),
  )

  app.patch(
    '/zoom-apps/:id',
    {
      config,
      schema: {
        operationId: 'updateZoomApp',
        tags,
        params: zoomAppParams,
        body: updateZoomAppBody,
        response: { 200: zoomAppResponse, ...errorResponses },
      },
    },
    async ({ params, body }) =>
      shape(
        await zoomApps.update(params.id, {
          clientSecret: body.client_secret,
          webhookSecretToken: body.webhook_secret_token,
          redirectUri: body.redirect_uri,
          dropPrevious: body.drop_previous,
        }),
      ),
  )

  app.delete(
    '/zoom-apps/:id',
    {
      config,
      schema: {
        operationId: 'deleteZoomApp',
        tags,
        params: zoomAppParams,
        response: { 204: noContent, ...errorResponses },
      },
    },
    async ({ params }, reply) => {
      await zoomApps.remove(params.id)
      return reply.status(204).send(null)
    },
  )
}
