import fp from 'fastify-plugin'

/** One line per answered request: route template, status, time. Neither URL nor query, which hold passes and codes. */
export const requestLog = fp(
  async (app) => {
    app.addHook('onResponse', (request, reply, done) => {
      request.log.info(
        { req: request, status: reply.statusCode, duration_ms: Math.round(reply.elapsedTime * 10) / 10 },
        'request answered',
      )
      done()
    })
  },
  { name: 'request-log' },
)
