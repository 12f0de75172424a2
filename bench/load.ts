import { randomBytes } from 'node:crypto'
import { connect, type Socket } from 'node:net'
import { signRecallRequest } from '../simulator/recall.ts'

/** One run of load: until `requests` are sent or `durationMs` are over, whichever is given. */
export interface LoadOrder {
  port: number
  connections: number
  durationMs?: number
  requests?: number
  /** Path and query of each pass's URL, used in turn. */
  paths: string[]
  recallSecret: string
}

export interface LoadResult {
  /** Answers 200 with a body. */
  ok: number
  /** Other answers by status; `socket` counts connections that broke. */
  failed: Record<string, number>
  elapsedMs: number
  /** Share of one core that this generator itself took: near 1 it would be what is measured. */
  generatorShare: number
}

// Written straight to sockets, since an HTTP client in Node costs as much as what is measured here. Answers of both servers
// have a Content-Length.
const HEAD_END = '\r\n\r\n'
const LENGTH = /\r\ncontent-length: *(\d+)/i
let counter = 0
const runId = randomBytes(9).toString('base64url')

/** Signed as Recall signs: an id of its own for each request. */
function requestFor({ paths, recallSecret }: LoadOrder): string {
  counter += 1
  const timestamp = Math.floor(Date.now() / 1000)
  const headers = signRecallRequest({ secrets: [recallSecret], id: `msg_${runId}_${counter}`, timestamp })
  const lines = Object.entries(headers).map(([name, value]) => `${name}: ${value}\r\n`)
  return `GET ${paths[counter % paths.length]} HTTP/1.1\r\nhost: bench\r\n${lines.join('')}\r\n`
}

/** The status once the whole answer is here. */
function statusOf(received: string): { status: string; hasBody: boolean } | null {
  const headLength = received.indexOf(HEAD_END)
  if (headLength < 0) return null
  const bodyLength = Number(LENGTH.exec(received.slice(0, headLength))?.[1] ?? 0)
  if (received.length < headLength + HEAD_END.length + bodyLength) return null
  return { status: received.slice(9, 12), hasBody: bodyLength > 0 }
}

async function run(order: LoadOrder): Promise<LoadResult> {
  const { durationMs = Number.POSITIVE_INFINITY, requests = Number.POSITIVE_INFINITY } = order
  const failed: Record<string, number> = {}
  const fail = (what: string) => {
    failed[what] = (failed[what] ?? 0) + 1
  }
  const startedAt = performance.now()
  const cpuBefore = process.cpuUsage()
  let sent = 0
  let ok = 0
  const mayGoOn = () => sent < requests && performance.now() - startedAt < durationMs

  function talk(socket: Socket, done: () => void): void {
    let received = ''
    const next = () => {
      if (mayGoOn()) {
        sent += 1
        socket.write(requestFor(order))
      } else socket.end()
    }
    socket.setEncoding('latin1').setNoDelay(true)
    socket.once('connect', next)
    socket.on('data', (chunk) => {
      received += chunk
      const answer = statusOf(received)
      if (!answer) return
      received = ''
      if (answer.status === '200' && answer.hasBody) ok += 1
      else fail(answer.status)
      next()
    })
    socket.once('error', () => fail('socket'))
    socket.once('close', done)
  }

  const { connections, port } = order
  await Promise.all(
    Array.from({ length: connections }, () => new Promise<void>((done) => talk(connect(port, '127.0.0.1'), done))),
  )
  const elapsedMs = performance.now() - startedAt
  const { user, system } = process.cpuUsage(cpuBefore)
  return { ok, failed, elapsedMs, generatorShare: (user + system) / 1000 / elapsedMs }
}

process.on('message', async (order: LoadOrder) => process.send?.(await run(order)))
process.on('disconnect', () => process.exit())
