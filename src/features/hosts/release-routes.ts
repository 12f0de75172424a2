import type { FastifyPluginAsyncZod } from 'fastify-type-provider-zod'
import type { SealedAnswer } from '../../plugins/idempotency.ts'
import { emptyBody, errorResponses } from '../../plugins/responses.ts'
import { hostParams, releaseResponse } from './schemas.ts'

interface Pair {
  refreshToken: string
  accessToken: string
  expiresAt: Date
}

export interface ReleaseDeps {
  /** Gives the pair of the tenant's host out and forgets both. */
  handOver: (
    tenantId: string,
    hostId: string,
    order: { actor: string; requestId: string; sealAnswer: (pair: Pair) => Promise<SealedAnswer | null> },
  ) => Promise<Pair>
}

const shape = ({ refreshToken, accessToken, expiresAt }: Pair) => ({
  refresh_token: refreshToken,
  access_token: accessToken,
  expires_at: expiresAt.toISOString(),
})

/** The way out: the one route that shows a refresh token, to the operator alone. */
export const releaseRoutes: FastifyPluginAsyncZod<ReleaseDeps> = async (app, { handOver }) => {
  app.post(
    '/hosts/:id/release',
    {
      config: { caller: 'operator', forTenant: true },
      schema: {
        operationId: 'releaseHost',
        tags: ['hosts'],
        params: hostParams,
        body: emptyBody,
        response: { 200: releaseResponse, ...errorResponses },
      },
    },
    async (request) => {
      const sealAnswer = (pair: Pair) => request.sealAnswer(200, shape(pair))
      const order = { actor: 'operator', requestId: request.id, sealAnswer }
      return shape(await handOver(request.tenantId, request.params.id, order))
    },
  )
}
