import type { FastifyPluginAsyncZod } from 'fastify-type-provider-zod'
import { errorResponses, noContent } from '../../plugins/responses.ts'
import {
  type CreatePassBody,
  changedPassResponse,
  createdPassResponse,
  createPassBody,
  listPassesQuery,
  passesResponse,
  passParams,
  passResponse,
  updatePassBody,
} from './schemas.ts'
import type { CreatedPass, PassService } from './service.ts'
import type { Pass } from './store.ts'

// twenty metadata pairs of 500 characters each, every one written as \uXXXX
const BODY_BYTES = 160 * 1024

const shape = (pass: Pass) => ({
  id: pass.id,
  meeting_id: pass.meetingId,
  kinds: pass.kinds,
  host: pass.host && { id: pass.host.id, external_user_id: pass.host.externalUserId, status: pass.host.status },
  on_behalf_of: pass.onBehalfOf.map(({ id, externalUserId, status }) => ({
    id,
    external_user_id: externalUserId,
    status,
  })),
  join_at: pass.joinAt?.toISOString() ?? null,
  expires_at: pass.expiresAt.toISOString(),
  metadata: pass.metadata,
  created_at: pass.createdAt.toISOString(),
})

/** Ready to merge into the body of Recall's Create Bot, or Create Zoom OAuth Credential, in Recall's own names. */
function recallOf({ id, urls }: CreatedPass) {
  if (urls.access !== undefined) return { access_token_callback_url: urls.access }
  const zoom = {
    ...(urls.join === undefined ? {} : { join_token_url: urls.join }),
    ...(urls.obf === undefined ? {} : { obf_token_url: urls.obf }),
    ...(urls.zak === undefined ? {} : { zak_url: urls.zak }),
  }
  return { zoom, metadata: { latchkey_pass_id: id } }
}

const createdShape = (created: CreatedPass) => ({
  ...shape(created),
  warnings: created.warnings,
  ...Object.fromEntries(Object.entries(created.urls).map(([kind, url]) => [`${kind}_token_url`, url])),
  recall: recallOf(created),
})

const asksForAccess = ({ kinds }: CreatePassBody) => kinds.includes('access')

const config = { caller: 'passes:write' } as const
const tags = ['passes']

type Routes = FastifyPluginAsyncZod<{
  passes: Pick<PassService, 'create' | 'list' | 'get' | 'update' | 'revoke'>
}>

export const passRoutes: Routes = async (app, { passes }) => {
  app.post(
    '/passes',
    {
      // whoever may not have an access token may not make a URL that gives it
      config: { ...config, alsoNeeds: ({ body }) => (asksForAccess(body as CreatePassBody) ? 'tokens:read' : null) },
      bodyLimit: BODY_BYTES,
      schema: {
        operationId: 'createPass',
        tags,
        body: createPassBody,
        response: { 201: createdPassResponse, ...errorResponses },
      },
    },
    async ({ tenantId, body }, reply) => {
      const { meeting, host, on_behalf_of: onBehalfOf, kinds, metadata } = body
      const [joinAt, expiresAt] = [body.join_at ?? null, body.expires_at ?? null]
      const input = { meeting, host, onBehalfOf, kinds, joinAt, expiresAt, metadata }
      return reply.status(201).send(createdShape(await passes.create(tenantId, input)))
    },
  )

  app.get(
    '/passes',
    {
      config,
      schema: {
        operationId: 'listPasses',
        tags,
        querystring: listPassesQuery,
        response: { 200: passesResponse, ...errorResponses },
      },
    },
    async ({ tenantId, query }) => {
      const filter = { meetingId: query.meeting_id }
      const { data, nextCursor } = await passes.list(tenantId, filter, query.limit, query.cursor)
      return { data: data.map(shape), next_cursor: nextCursor }
    },
  )

  app.get(
    '/passes/:id',
    {
      config,
      schema: {
        operationId: 'getPass',
        tags,
        params: passParams,
        response: { 200: passResponse, ...errorResponses },
      },
    },
    async ({ tenantId, params }) => shape(await passes.get(tenantId, params.id)),
  )

  app.patch(
    '/passes/:id',
    {
      config,
      schema: {
        operationId: 'updatePass',
        tags,
        params: passParams,
        body: updatePassBody,
        response: { 200: changedPassResponse, ...errorResponses },
      },
    },
    async ({ tenantId, params, body }) => {
      const change = { meeting: body.meeting, joinAt: body.join_at, expiresAt: body.expires_at }
      const { warnings, ...pass } = await passes.update(tenantId, params.id, change)
      return { ...shape(pass), warnings }
    },
  )

  app.delete(
    '/passes/:id',
    {
      config,
      schema: {
        operationId: 'revokePass',
        tags,
        params: passParams,
        response: { 204: noContent, ...errorResponses },
      },
    },
    async ({ tenantId, params }, reply) => {
      await passes.revoke(tenantId, params.id)
      return reply.status(204).send(null)
    },
  )
}
