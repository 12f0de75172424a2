import type { FastifyPluginAsyncZod } from 'fastify-type-provider-zod'
import { errorResponses } from '../../plugins/responses.ts'
import { explainMeetingParams, explainPassParams, explanationResponse } from './schemas.ts'
import type { ExplainService } from './service.ts'
import { explanationOf } from './shape.ts'

// what they show is the map with its consequences: of the host no more than its state, of the ledger no more than outcomes
const config = { caller: 'meetings:read' } as const
const response = { 200: explanationResponse, ...errorResponses }

type Routes = FastifyPluginAsyncZod<{ explain: Pick<ExplainService, 'explainPass' | 'explainMeeting'> }>

export const explainRoutes: Routes = async (app, { explain }) => {
  app.get(
    '/passes/:id/explain',
    { config, schema: { operationId: 'explainPass', tags: ['passes'], params: explainPassParams, response } },
    async ({ tenantId, params }) => explanationOf(await explain.explainPass(tenantId, params.id)),
  )

  app.get(
    '/meetings/:meeting_id/explain',
    { config, schema: { operationId: 'explainMeeting', tags: ['meetings'], params: explainMeetingParams, response } },
    async ({ tenantId, params }) => explanationOf(await explain.explainMeeting(tenantId, params.meeting_id)),
  )
}
