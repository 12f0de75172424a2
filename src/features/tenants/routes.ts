import type { FastifyPluginAsyncZod } from 'fastify-type-provider-zod'
import { errorResponses, noContent } from '../../plugins/responses.ts'
import {
  createTenantBody,
  listTenantsQuery,
  tenantParams,
  tenantResponse,
  tenantsResponse,
  updateTenantBody,
} from './schemas.ts'
import type { TenantService } from './service.ts'
import type { Tenant } from './store.ts'

const shape = ({ id, slug, name, returnUrlOrigins, createdAt }: Tenant) => ({
  id,
  slug,
  name,
  return_url_origins: returnUrlOrigins,
  created_at: createdAt.toISOString(),
})
const config = { caller: 'operator' } as const
const tags = ['tenants']

export const tenantRoutes: FastifyPluginAsyncZod<{ tenants: TenantService }> = async (app, { tenants }) => {
  app.post(
    '/tenants',
    {
      config,
      schema: {
        operationId: 'createTenant',
        tags,
        body: createTenantBody,
        response: { 201: tenantResponse, ...errorResponses },
      },
    },
    async ({ body }, reply) => {
      const { name, slug, return_url_origins: returnUrlOrigins } = body
      return reply.status(201).send(shape(await tenants.create({ name, slug, returnUrlOrigins })))
    },
  )

  app.get(
    '/tenants',
    {
      config,
      schema: {
        operationId: 'listTenants',
        tags,
        querystring: listTenantsQuery,
        response: { 200: tenantsResponse, ...errorResponses },
      },
    },
    async ({ query }) => {
      const { data, nextCursor } = await tenants.list(query.limit, query.cursor)
      return { data: data.map(shape), next_cursor: nextCursor }
    },
  )

  app.get(
    '/tenants/:id',
    {
      config,
      schema: {
        operationId: 'getTenant',
        tags,
        params: tenantParams,
        response: { 200: tenantResponse, ...errorResponses },
      },
    },
    async ({ params }) => shape(await tenants.get(params.id)),
  )

  app.patch(
    '/tenants/:id',
    {
      config,
      schema: {
        operationId: 'updateTenant',
        tags,
        params: tenantParams,
        body: updateTenantBody,
        response: { 200: tenantResponse, ...errorResponses },
      },
    },
    async ({ params, body }) =>
      shape(await tenants.update(params.id, { name: body.name, returnUrlOrigins: body.return_url_origins })),
  )

  app.delete(
    '/tenants/:id',
    {
      config,
      schema: {
        operationId: 'deleteTenant',
        tags,
        params: tenantParams,
        response: { 204: noContent, ...errorResponses },
      },
    },
    async ({ params }, reply) => {
      await tenants.remove(params.id)
      return reply.status(204).send(null)
    },
  )
}
