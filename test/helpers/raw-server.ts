import type { AddressInfo } from 'node:net'
import { createServer, type Socket } from 'node:net'
import { onTestFinished } from 'vitest'

export interface RawServer {
  url: string
  port: number
  /** Every complete request, head and body as sent. */
  requests: string[]
  /** Open connections. */
  sockets: Set<Socket>
  connections: number
}

/** A server on loopback that answers with bytes: what an HTTP server would not let a test say. Closed with the test. */
export async function startRawServer(answer: (socket: Socket, index: number) => void): Promise<RawServer> {
  const state: RawServer = { url: '', port: 0, requests: [], sockets: new Set(), connections: 0 }
  const server = createServer((socket) => {
    state.connections += 1
    state.sockets.add(socket)
    let received = ''
    socket.on('error', () => {}) // the client may destroy its end
    socket.on('close', () => state.sockets.delete(socket))
    socket.on('data', (chunk) => {
      received += chunk.toString('latin1')
      const head = received.indexOf('\r\n\r\n')
      const length = Number(/\r\ncontent-length: (\d+)/i.exec(received)?.[1] ?? 0)
      if (head < 0 || received.length < head + 4 + length) return
      state.requests.push(received)
      received = ''
      answer(socket, state.requests.length - 1)
    })
  })
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  state.port = (server.address() as AddressInfo).port
  state.url = `http://127.0.0.1:${state.port}`
  onTestFinished(() => {
    for (const socket of state.sockets) socket.destroy()
    server.close()
  })
  return state
}

/** An HTTP/1.1 answer with a JSON body and its length; further header lines end in CRLF. */
export function jsonAnswer(status: number, body: unknown, headerLines = ''): string {
  const text = JSON.stringify(body)
  const head = `HTTP/1.1 ${status} X\r\ncontent-type: application/json\r\ncontent-length: ${Buffer.byteLength(text)}\r\n`
  return `${head}${headerLines}\r\n${text}`
}
