import { createHmac } from 'node:crypto'
import { createServer, type IncomingHttpHeaders, type ServerResponse } from 'node:http'
import type { AddressInfo } from 'node:net'
import { onTestFinished } from 'vitest'

export interface Received {
  id: string
  headers: IncomingHttpHeaders
  body: string
  event: { id: string; type: string; timestamp: string; tenant_id: string | null; data: Record<string, unknown> }
}

/** A tenant's server that is told of events. `answer` decides what it says, 204 by default. */
export async function startReceiver(answer: (response: ServerResponse, received: Received) => void = () => {}) {
  const received: Received[] = []
  const server = createServer((request, response) => {
    const chunks: Buffer[] = []
    request.on('data', (chunk) => chunks.push(chunk))
    request.on('end', () => {
      const body = Buffer.concat(chunks).toString()
      const one = { id: String(request.headers['webhook-id']), headers: request.headers, body, event: JSON.parse(body) }
      received.push(one)
      response.statusCode = 204
      answer(response, one)
      if (!response.writableEnded && !response.headersSent && response.statusCode !== 0) response.end()
    })
  })
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  onTestFinished(async () => {
    server.closeAllConnections()
    await new Promise((resolve) => server.close(resolve))
  })
  const { port } = server.address() as AddressInfo
  return { url: `http://127.0.0.1:${port}/hook`, received, types: () => received.map(({ event }) => event.type) }
}

/** As a receiver verifies, by the standard's text and not by our code. */
export function isSignedBy(secret: string, { headers, body, id }: Received): boolean {
  const key = Buffer.from(secret.replace('whsec_', ''), 'base64')
  const mac = createHmac('sha256', key).update(`${id}.${headers['webhook-timestamp']}.${body}`).digest('base64')
  return String(headers['webhook-signature']).split(' ').includes(`v1,${mac}`)
}
