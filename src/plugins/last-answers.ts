import fp from 'fastify-plugin'

/**
 * Once the service stops, every answer still to be sent closes its connection. Without it a client's keep-alive would hold
 * the process up long after its last request.
 */
export const lastAnswers = fp(
  async (app) => {
    let isClosing = false
    app.addHook('preClose', async () => {
      isClosing = true
    })
    app.addHook('onSend', async (_request, reply) => {
      if (isClosing) reply.header('connection', 'close')
    })
  },
  { name: 'last-answers' },
)
