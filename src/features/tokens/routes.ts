import type { FastifyPluginAsyncZod } from 'fastify-type-provider-zod'
import { tokenQuery, tokenResponses } from './schemas.ts'
import type { TokenRequest, TokenService } from './service.ts'

/** The URLs a bot calls. A GET that mints: Recall's way, so HEAD is off and nothing here is ever cached. */
export const tokenRoutes: FastifyPluginAsyncZod<{ tokens: TokenService; deadlineMs: number }> = async (
  app,
  { tokens, deadlineMs },
) => {
  for (const kind of ['join', 'obf', 'zak', 'access'] as const) {
    const schema = {
      operationId: `${kind}Token`,
      tags: ['bots'],
      querystring: tokenQuery,
      response: tokenResponses,
    }
    app.get(`/${kind}-token`, { schema, config: { caller: 'bot', kind } }, async (request, reply) => {
      reply.type('text/plain; charset=utf-8')
      return await tokens.mint({
        opened: request.opened as TokenRequest['opened'], // set by the guard once the mint's row was open
        claimedMeetingId: request.query.meeting_id,
        remainingMs: () => Math.max(0, deadlineMs - reply.elapsedTime),
        elapsedMs: () => Math.round(reply.elapsedTime),
      })
    })
  }
}
