import type { FastifyPluginAsyncZod } from 'fastify-type-provider-zod'
import { emptyBody, errorResponses, noContent } from '../../plugins/responses.ts'
import {
  createEndpointBody,
  endpointParams,
  endpointResponse,
  endpointsResponse,
  endpointWithSecretResponse,
  listEndpointsQuery,
  updateEndpointBody,
} from './endpoint-schemas.ts'
import type { Endpoint, EndpointService } from './endpoint-service.ts'

const shape = (endpoint: Endpoint) => ({
  id: endpoint.id,
  url: endpoint.url,
  events: endpoint.events,
  description: endpoint.description,
  is_enabled: endpoint.isEnabled,
  disabled_reason: endpoint.disabledReason,
  previous_secret_until: endpoint.previousSecretUntil?.toISOString() ?? null,
  created_at: endpoint.createdAt.toISOString(),
  updated_at: endpoint.updatedAt.toISOString(),
})
const tags = ['webhook-endpoints']

export interface EndpointRouteOptions {
  endpoints: Pick<EndpointService, 'create' | 'list' | 'get' | 'update' | 'rotateSecret' | 'remove'>
  /** A tenant's own endpoints, or the operator's under `/operator`. */
  owner: 'tenant' | 'operator'
}

export const endpointRoutes: FastifyPluginAsyncZod<EndpointRouteOptions> = async (app, { endpoints, owner }) => {
  const isOperators = owner === 'operator'
  const base = `${isOperators ? '/operator' : ''}/webhook-endpoints`
  const named = `${isOperators ? 'Operator' : ''}WebhookEndpoint`
  const reads = { caller: isOperators ? 'operator' : 'hosts:read' } as const
  const writes = { caller: isOperators ? 'operator' : 'hosts:write' } as const
  const ownerOf = ({ tenantId }: { tenantId: string }) => (isOperators ? null : tenantId)

  app.post(
    base,
    {
      config: writes,
      schema: {
        operationId: `create${named}`,
        tags,
        body: createEndpointBody,
        response: { 201: endpointWithSecretResponse, ...errorResponses },
      },
    },
    async (request, reply) => {
      const { description = null, ...input } = request.body
      const { secret, ...created } = await endpoints.create(ownerOf(request), { ...input, description })
      return reply.status(201).send({ ...shape(created), secret })
    },
  )

  app.get(
    base,
    {
      config: reads,
      schema: {
        operationId: `list${named}s`,
        tags,
        querystring: listEndpointsQuery,
        response: { 200: endpointsResponse, ...errorResponses },
      },
    },
    async (request) => {
      const { data, nextCursor } = await endpoints.list(ownerOf(request), request.query.limit, request.query.cursor)
      return { data: data.map(shape), next_cursor: nextCursor }
    },
  )

  app.get(
    `${base}/:id`,
    {
      config: reads,
      schema: {
        operationId: `get${named}`,
        tags,
        params: endpointParams,
        response: { 200: endpointResponse, ...errorResponses },
      },
    },
    async (request) => shape(await endpoints.get(ownerOf(request), request.params.id)),
  )

  app.patch(
    `${base}/:id`,
    {
      config: writes,
      schema: {
        operationId: `update${named}`,
        tags,
        params: endpointParams,
        body: updateEndpointBody,
        response: { 200: endpointResponse, ...errorResponses },
      },
    },
    async (request) => {
      const { url, events, description, is_enabled: isEnabled } = request.body
      const given = Object.entries({ url, events, description, isEnabled }).filter(([, value]) => value !== undefined)
      return shape(await endpoints.update(ownerOf(request), request.params.id, Object.fromEntries(given)))
    },
  )

  app.post(
    `${base}/:id/rotate-secret`,
    {
      config: writes,
      schema: {
        operationId: `rotate${named}Secret`,
        tags,
        params: endpointParams,
        body: emptyBody,
        response: { 200: endpointWithSecretResponse, ...errorResponses },
      },
    },
    async (request) => {
      const { secret, ...endpoint } = await endpoints.rotateSecret(ownerOf(request), request.params.id)
      return { ...shape(endpoint), secret }
    },
  )

  app.delete(
    `${base}/:id`,
    {
      config: writes,
      schema: {
        operationId: `delete${named}`,
        tags,
        params: endpointParams,
        response: { 204: noContent, ...errorResponses },
      },
    },
    async (request, reply) => {
      await endpoints.remove(ownerOf(request), request.params.id)
      return reply.status(204).send(null)
    },
  )
}
