import { randomUUID } from 'node:crypto'
import { once } from 'node:events'
import type { ServerResponse } from 'node:http'
import { gzipSync } from 'node:zlib'
import type { FaultAction } from './fault-schema.ts'
import { numberedRefusal, type ZoomReply } from './refusal.ts'

const DEFAULT_OVERSIZED_BYTES = 10 * 1024 * 1024
const DEFAULT_BOMB_BYTES = 64 * 1024 * 1024
const CHUNK_BYTES = 64 * 1024
const NO_ANSWER: ZoomReply = { status: 200, body: {} }
const HTML_PAGE = '<!doctype html><title>Zoom</title><h1>We will be back shortly</h1><p>Scheduled maintenance.</p>'

/** Waits that the simulator's own close ends early. */
export type Pause = (delayMs: number) => Promise<void>

interface Payload {
  status: number
  headers: Record<string, string>
  body: Buffer
}

function payloadOf(reply: ZoomReply): Payload {
  const isText = typeof reply.body === 'string'
  const body = Buffer.from(isText ? (reply.body as string) : JSON.stringify(reply.body ?? null))
  const type = isText ? 'text/html;charset=UTF-8' : 'application/json;charset=UTF-8'
  const headers = { 'content-type': type, 'x-zm-trackingid': `SIM_${randomUUID()}`, ...reply.headers }
  return { status: reply.status, headers, body }
}

/** Sends an answer as it is. */
export function sendReply(response: ServerResponse, reply: ZoomReply) {
  const { status, headers, body } = payloadOf(reply)
  if (status === 204 || status === 304)
    response.writeHead(status, headers).end() // neither may announce a body
  else response.writeHead(status, { ...headers, 'content-length': body.length }).end(body)
}

/** Plays a fault on the wire, with Zoom's answer where its work came first. Waiting faults are not played here. */
export async function playFault(action: FaultAction, reply: ZoomReply | null, response: ServerResponse, pause: Pause) {
  const altered = alteredReply(action, reply ?? NO_ANSWER)
  if (altered) return sendReply(response, altered)
  const payload = payloadOf(reply ?? NO_ANSWER)
  switch (action.type) {
    case 'hang':
      if (action.stage === 'after_headers') headersOnly(response, payload)
      return
    case 'cut':
      return cut(response, payload, action.chunked ?? false)
    case 'reset':
      response.socket?.resetAndDestroy()
      return
    case 'drip':
      return drip(response, payload, action.intervalMs, pause)
    case 'oversized':
      return oversized(response, payload, action.bytes ?? DEFAULT_OVERSIZED_BYTES)
    case 'gzip_bomb':
      return gzipBomb(response, payload, action.bytes ?? DEFAULT_BOMB_BYTES)
    case 'informational':
      if (action.status === 100) response.writeContinue()
      else response.writeEarlyHints({ link: '</simulated>; rel=preload' })
      return sendReply(response, reply ?? NO_ANSWER)
    default:
      return sendReply(response, reply ?? NO_ANSWER)
  }
}

/** The answer that a fault puts in the place of Zoom's, for those that send a whole one. */
function alteredReply(action: FaultAction, reply: ZoomReply): ZoomReply | null {
  switch (action.type) {
    case 'status':
      return { status: action.status, headers: action.headers ?? {}, body: action.body ?? bodyOfStatus(action.status) }
    case 'zoom_error':
      return numberedRefusal(action.code, action.status).reply
    case 'html':
      return { status: action.status ?? 200, body: HTML_PAGE }
    case 'redirect':
      return { status: action.status, headers: { location: action.location }, body: '' }
    case 'body':
      return { status: action.status ?? 200, headers: bodyHeaders(action), body: action.body }
    case 'omit':
      return { ...reply, body: withFields(reply.body, { [action.field]: undefined }) }
    case 'set':
      return { ...reply, body: withFields(reply.body, action.fields) }
    case 'many_headers':
      return { ...reply, headers: { ...reply.headers, ...manyHeaders(action.count) } }
    default:
      return null
  }
}

const bodyOfStatus = (status: number) => ({ code: status, message: `Simulated answer with status ${status}.` })

/** Raw text stays under Zoom's JSON content type, so that a broken body is what the reader has to survive. */
const bodyHeaders = (action: Extract<FaultAction, { type: 'body' }>) => ({
  'content-type': 'application/json;charset=UTF-8',
  ...action.headers,
})

const withFields = (body: unknown, fields: Record<string, unknown>) =>
  typeof body === 'object' && body !== null ? { ...body, ...fields } : body

const manyHeaders = (count: number) =>
  Object.fromEntries(Array.from({ length: count }, (_, index) => [`x-simulated-${index}`, 'x']))

function headersOnly(response: ServerResponse, { status, headers, body }: Payload) {
  response.writeHead(status, { ...headers, 'content-length': body.length }).flushHeaders()
}

/** Half of the body, then the connection breaks: with a length that was promised, or in mid-chunk. */
function cut(response: ServerResponse, payload: Payload, isChunked: boolean) {
  const { status, headers, body } = payload
  const length = isChunked ? {} : { 'content-length': body.length }
  response.writeHead(status, { ...headers, ...length })
  response.write(body.subarray(0, Math.floor(body.length / 2)), () => response.socket?.destroy())
}

async function drip(response: ServerResponse, payload: Payload, intervalMs: number, pause: Pause) {
  headersOnly(response, payload)
  for (const byte of payload.body) {
    if (response.destroyed || response.socket?.destroyed) return
    response.write(Uint8Array.of(byte))
    await pause(intervalMs)
  }
  response.end()
}

/** A well-formed JSON object with the real fields behind a padding of the given size, as parts. */
function* padded({ body }: Payload, bytes: number): Generator<Buffer> {
  const rest = body.toString('utf8').replace(/^\{/, '')
  yield Buffer.from('{"padding":"')
  const chunk = Buffer.alloc(CHUNK_BYTES, 'x')
  for (let left = bytes; left > 0; left -= CHUNK_BYTES) yield chunk.subarray(0, Math.min(left, CHUNK_BYTES))
  yield Buffer.from(rest === '}' ? '"}' : `",${rest}`)
}

async function oversized(response: ServerResponse, payload: Payload, bytes: number) {
  response.writeHead(payload.status, payload.headers)
  for (const chunk of padded(payload, bytes)) {
    if (response.destroyed || response.socket?.destroyed) return
    if (!response.write(chunk)) await drained(response)
  }
  response.end()
}

/** A small answer that unpacks to the given size: gzip members one after another, so that we never hold it unpacked. */
function gzipBomb(response: ServerResponse, payload: Payload, bytes: number) {
  const parts = [...packed(payload, bytes)]
  const body = Buffer.concat(parts)
  response.writeHead(payload.status, { ...payload.headers, 'content-encoding': 'gzip', 'content-length': body.length })
  response.end(body)
}

function* packed(payload: Payload, bytes: number): Generator<Buffer> {
  let filler: Buffer | null = null
  for (const chunk of padded(payload, bytes)) {
    const isFiller = chunk.length === CHUNK_BYTES
    if (isFiller) filler ??= gzipSync(chunk)
    yield isFiller && filler ? filler : gzipSync(chunk)
  }
}

async function drained(response: ServerResponse): Promise<void> {
  const settled = new AbortController()
  const { signal } = settled
  await Promise.race([once(response, 'drain', { signal }), once(response, 'close', { signal })])
  settled.abort() // takes the other listener away: there is one of each per chunk
}
