import type { ServerResponse } from 'node:http'
import fp from 'fastify-plugin'
import { sleep } from '../lib/deadline.ts'

declare module 'fastify' {
  interface FastifyInstance {
    /** From now on every answer closes its connection; resolves once none is owed any more, or after `limitMs`. */
    lastAnswers: (noticeMs: number, limitMs: number) => Promise<void>
  }
}

const LOOK_EVERY_MS = 20

/**
 * The way out. Until everything is answered the service goes on listening, so that a balancer can read in `/readyz` that it
 * is leaving; a client's keep-alive does not hold it up.
 */
export const lastAnswers = fp(
  async (app) => {
    let isLeaving = false
    let owed = 0
    const closed = () => {
      owed -= 1 // answered, or its client has left
    }
    app.server.on('request', (_request, response: ServerResponse) => {
      owed += 1
      response.on('close', closed) // which comes once
    })
    app.addHook('preClose', async () => {
      isLeaving = true
    })
    app.addHook('onSend', (_request, reply, _payload, done) => {
      if (isLeaving) reply.header('connection', 'close')
      done()
    })
    app.decorate('lastAnswers', async (noticeMs: number, limitMs: number) => {
      isLeaving = true
      const endMs = performance.now() + limitMs
      await sleep(noticeMs)
      while (owed > 0 && performance.now() < endMs) await sleep(LOOK_EVERY_MS)
    })
  },
  { name: 'last-answers' },
)
