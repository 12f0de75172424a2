import type { FastifyPluginAsyncZod } from 'fastify-type-provider-zod'
import { mintLineOf } from '../../plugins/mint-line.ts'
import { errorResponses } from '../../plugins/responses.ts'
import { listMintsQuery, mintsResponse } from './schemas.ts'
import type { MintService } from './service.ts'
import type { Mint } from './store.ts'

const shape = (mint: Mint & { outcome: string }) => ({ ...mintLineOf(mint), meeting_id: mint.meetingId })

export const mintRoutes: FastifyPluginAsyncZod<{ mints: Pick<MintService, 'list'> }> = async (app, { mints }) => {
  app.get(
    '/mints',
    {
      config: { caller: 'mints:read' },
      schema: {
        operationId: 'listMints',
        tags: ['mints'],
        querystring: listMintsQuery,
        response: { 200: mintsResponse, ...errorResponses },
      },
    },
    async ({ tenantId, query }) => {
      const { meeting_id: meetingId, pass_id: passId, outcome, kind } = query
      const filter = { meetingId, passId, outcome, kind }
      const { data, nextCursor } = await mints.list(tenantId, filter, query.limit, query.cursor)
      return { data: data.map(shape), next_cursor: nextCursor }
    },
  )
}
