import type { FastifyRequest } from 'fastify'
import type { FastifyPluginAsyncZod } from 'fastify-type-provider-zod'
import { errorResponses } from '../../plugins/responses.ts'
import type { ImportResult } from './import-outcome.ts'
import { importHostsBody, importHostsResponse } from './import-schemas.ts'
import type { ImportService } from './import-service.ts'

// 200 of Zoom's tokens, of about 700 bytes each, with room for longer ones
const BODY_BYTES = 512 * 1024

const importerOf = ({ caller, id }: FastifyRequest) => ({
  actor: caller?.kind === 'tenant_key' ? `key:${caller.keyId}` : 'operator',
  requestId: id,
})

const shape = ({ externalUserId, hostId, status, code }: ImportResult) => ({
  external_user_id: externalUserId,
  status,
  ...(hostId === undefined ? {} : { host_id: hostId }),
  ...(code === undefined ? {} : { code }),
})

export const importRoutes: FastifyPluginAsyncZod<{ imports: Pick<ImportService, 'importHosts'> }> = async (
  app,
  { imports },
) => {
  app.post(
    '/hosts/import',
    {
      bodyLimit: BODY_BYTES,
      config: { caller: 'hosts:import' },
      schema: {
        operationId: 'importHosts',
        tags: ['hosts'],
        body: importHostsBody,
        response: { 200: importHostsResponse, ...errorResponses },
      },
    },
    async (request) => {
      const rows = request.body.hosts.map((host) => ({
        externalUserId: host.external_user_id,
        refreshToken: host.refresh_token,
      }))
      return { data: (await imports.importHosts(request.tenantId, rows, importerOf(request))).map(shape) }
    },
  )
}
