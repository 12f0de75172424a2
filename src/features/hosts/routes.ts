import type { FastifyPluginAsyncZod } from 'fastify-type-provider-zod'
import { grantStateOf, unlinkQuery } from '../../plugins/grant-state.ts'
import { errorResponses, noContent } from '../../plugins/responses.ts'
import { syncStateOf } from '../../plugins/sync-state.ts'
import type { NextPass, RankedHost } from './next-passes.ts'
import { hostParams, hostResponse, hostsResponse, listHostsQuery } from './schemas.ts'
import type { HostService } from './service.ts'
import type { Host } from './store.ts'

const shape = (host: Host) => ({
  id: host.id,
  external_user_id: host.externalUserId,
  zoom_user_id: host.zoomUserId,
  zoom_account_id: host.zoomAccountId,
  email: host.email,
  display_name: host.displayName,
  ...grantStateOf(host, ['join', 'obf']),
  sync: syncStateOf(host.sync),
})
const nextPassOf = (pass: NextPass | null) =>
  pass && { pass_id: pass.passId, meeting_id: pass.meetingId, join_at: pass.joinAt.toISOString() }
const listed = (host: Host | RankedHost) => ({
  ...shape(host),
  ...('nextPass' in host ? { next_pass: nextPassOf(host.nextPass) } : {}),
})
const tags = ['hosts']

export const hostRoutes: FastifyPluginAsyncZod<{ hosts: Pick<HostService, 'list' | 'get' | 'remove'> }> = async (
  app,
  { hosts },
) => {
  app.get(
    '/hosts',
    {
      config: { caller: 'hosts:read' },
      schema: {
        operationId: 'listHosts',
        tags,
        querystring: listHostsQuery,
        response: { 200: hostsResponse, ...errorResponses },
      },
    },
    async ({ tenantId, query }) => {
      const { status, external_user_id: externalUserId, zoom_user_id: zoomUserId, email } = query
      const filter = { status, externalUserId, zoomUserId, email }
      const { data, nextCursor } = await hosts.list(tenantId, filter, query)
      return { data: data.map(listed), next_cursor: nextCursor }
    },
  )

  app.get(
    '/hosts/:id',
    {
      config: { caller: 'hosts:read' },
      schema: {
        operationId: 'getHost',
        tags,
        params: hostParams,
        response: { 200: hostResponse, ...errorResponses },
      },
    },
    async ({ tenantId, params }) => shape(await hosts.get(tenantId, params.id)),
  )

  app.delete(
    '/hosts/:id',
    {
      config: { caller: 'hosts:write' },
      schema: {
        operationId: 'deleteHost',
        tags,
        params: hostParams,
        querystring: unlinkQuery,
        response: { 204: noContent, ...errorResponses },
      },
    },
    async ({ tenantId, params, query }, reply) => {
      await hosts.remove(tenantId, params.id, { revoke: query.revoke })
      return reply.status(204).send(null)
    },
  )
}
