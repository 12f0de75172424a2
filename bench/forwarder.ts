import Fastify from 'fastify'
import { Pool } from 'undici'
import { listenAndTell } from './child.ts'

// The yardstick: what any service in Node that asks Zoom once per request must spend at least. No log, no check, no database.
const [zoomOrigin = ''] = process.argv.slice(2)
const pool = new Pool(zoomOrigin, { connections: 128, pipelining: 1 })
const app = Fastify()

app.get('/zoom/join-token', async (_request, reply) => {
  const { statusCode, body } = await pool.request({
    method: 'GET',
    path: '/v2/meetings/85996249517/jointoken/local_recording?bypass_waiting_room=true',
  })
  return reply
    .code(statusCode)
    .type('text/plain')
    .send(await body.text())
})

await app.ready()
listenAndTell(app.server)
