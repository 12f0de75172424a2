import type { FastifyPluginAsyncZod } from 'fastify-type-provider-zod'
import { z } from 'zod'
import { errorResponses } from '../../plugins/responses.ts'

export interface HealthDeps {
  /** Null when ready, else one word why not. */
  notReady: () => Promise<string | null>
}

const tags = ['operations']
const config = { caller: 'anyone' } as const

/** `/healthz` says the process lives; `/readyz` whether it should be sent requests, else one word why not. */
export const healthRoutes: FastifyPluginAsyncZod<HealthDeps> = async (app, { notReady }) => {
  app.get(
    '/healthz',
    {
      config,
      logLevel: 'warn',
      schema: {
        operationId: 'health',
        tags,
        response: { 200: z.object({ status: z.literal('ok') }), ...errorResponses },
      },
    },
    async () => ({ status: 'ok' as const }),
  )
  app.get(
    '/readyz',
    {
      config,
      logLevel: 'warn',
      schema: {
        operationId: 'ready',
        tags,
        response: {
          200: z.object({ status: z.literal('ready') }),
          503: z.object({ status: z.string() }),
          ...errorResponses,
        },
      },
    },
    async (_request, reply) => {
      const why = await notReady()
      if (why !== null) return reply.status(503).header('retry-after', '1').send({ status: why })
      return { status: 'ready' as const }
    },
  )
}
