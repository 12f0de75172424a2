import type { FastifyPluginAsyncZod } from 'fastify-type-provider-zod'
import { errorResponses, noContent } from '../../../plugins/responses.ts'
import {
  apiKeyParams,
  apiKeysParams,
  apiKeysResponse,
  createApiKeyBody,
  createdApiKeyResponse,
  listApiKeysQuery,
} from './schemas.ts'
import type { ApiKeyService } from './service.ts'
import type { ApiKey } from './store.ts'

const shape = ({ id, prefix, name, scopes, expiresAt, lastUsedAt, createdAt }: ApiKey) => ({
  id,
  prefix,
  name,
  scopes,
  expires_at: expiresAt?.toISOString() ?? null,
  last_used_at: lastUsedAt?.toISOString() ?? null,
  created_at: createdAt.toISOString(),
})
const config = { caller: 'operator' } as const
const tags = ['tenants']

export const apiKeyRoutes: FastifyPluginAsyncZod<{ apiKeys: ApiKeyService }> = async (app, { apiKeys }) => {
  app.post(
    '/tenants/:id/api-keys',
    {
      config,
      schema: {
        operationId: 'createApiKey',
        tags,
        params: apiKeysParams,
        body: createApiKeyBody,
        response: { 201: createdApiKeyResponse, ...errorResponses },
      },
    },
    async ({ params, body }, reply) => {
      const { name, scopes, expires_at: expiresAt } = body
      const { key, ...row } = await apiKeys.create(params.id, { name, scopes, expiresAt })
      return reply.status(201).send({ ...shape(row), key })
    },
  )

  app.get(
    '/tenants/:id/api-keys',
    {
      config,
      schema: {
        operationId: 'listApiKeys',
        tags,
        params: apiKeysParams,
        querystring: listApiKeysQuery,
        response: { 200: apiKeysResponse, ...errorResponses },
      },
    },
    async ({ params, query }) => {
      const { data, nextCursor } = await apiKeys.list(params.id, query.limit, query.cursor)
      return { data: data.map(shape), next_cursor: nextCursor }
    },
  )

  app.delete(
    '/tenants/:id/api-keys/:key_id',
    {
      config,
      schema: {
        operationId: 'revokeApiKey',
        tags,
        params: apiKeyParams,
        response: { 204: noContent, ...errorResponses },
      },
    },
    async ({ params }, reply) => {
      await apiKeys.revoke(params.id, params.key_id)
      return reply.status(204).send(null)
    },
  )
}
