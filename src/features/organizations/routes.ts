import type { FastifyPluginAsyncZod } from 'fastify-type-provider-zod'
import { grantStateOf, unlinkQuery } from '../../plugins/grant-state.ts'
import { errorResponses, noContent } from '../../plugins/responses.ts'
import { accountSyncStateOf } from '../../plugins/sync-state.ts'
import { listOrganizationsQuery, organizationParams, organizationResponse, organizationsResponse } from './schemas.ts'
import type { OrganizationService } from './service.ts'
import type { Organization } from './store.ts'

const shape = (organization: Organization) => ({
  id: organization.id,
  zoom_account_id: organization.zoomAccountId,
  external_user_id: organization.externalUserId,
  zoom_user_id: organization.zoomUserId,
  email: organization.email,
  display_name: organization.displayName,
  // OBF and ZAK stay with the user's own grant
  ...grantStateOf(organization, ['join'], 'organization'),
  sync: accountSyncStateOf(organization.sync),
})
const tags = ['organizations']

type Routes = FastifyPluginAsyncZod<{ organizations: Pick<OrganizationService, 'list' | 'get' | 'remove'> }>

export const organizationRoutes: Routes = async (app, { organizations }) => {
  app.get(
    '/organizations',
    {
      config: { caller: 'hosts:read' },
      schema: {
        operationId: 'listOrganizations',
        tags,
        querystring: listOrganizationsQuery,
        response: { 200: organizationsResponse, ...errorResponses },
      },
    },
    async ({ tenantId, query }) => {
      const { status, external_user_id: externalUserId, zoom_account_id: zoomAccountId } = query
      const filter = { status, externalUserId, zoomAccountId }
      const { data, nextCursor } = await organizations.list(tenantId, filter, query.limit, query.cursor)
      return { data: data.map(shape), next_cursor: nextCursor }
    },
  )

  app.get(
    '/organizations/:id',
    {
      config: { caller: 'hosts:read' },
      schema: {
        operationId: 'getOrganization',
        tags,
        params: organizationParams,
        response: { 200: organizationResponse, ...errorResponses },
      },
    },
    async ({ tenantId, params }) => shape(await organizations.get(tenantId, params.id)),
  )

  app.delete(
    '/organizations/:id',
    {
      config: { caller: 'hosts:write' },
      schema: {
        operationId: 'deleteOrganization',
        tags,
        params: organizationParams,
        querystring: unlinkQuery,
        response: { 204: noContent, ...errorResponses },
      },
    },
    async ({ tenantId, params, query }, reply) => {
      await organizations.remove(tenantId, params.id, { revoke: query.revoke })
      return reply.status(204).send(null)
    },
  )
}
