import { request as httpRequest, type IncomingHttpHeaders } from 'node:http'
import { request as httpsRequest } from 'node:https'

/** A request to the service under test, as a bot or Zoom makes it. */
export interface Call {
  method: string
  url: string
  headers: Record<string, string>
}

/** The answer, and the request as it was sent. */
export interface CallResult {
  /** null when no answer came; then `error` says why. */
  status: number | null
  headers: IncomingHttpHeaders
  body: string
  duration_ms: number
  error: string | null
  request: Call
}

type Answer = Pick<CallResult, 'status' | 'headers' | 'body' | 'error'>

const MAX_BODY_BYTES = 64 * 1024

/** Sends it over a connection of its own, follows no redirect, and gives whatever came of it. */
export async function sendCall(request: Call, timeoutMs: number, payload?: string): Promise<CallResult> {
  const startedAt = performance.now()
  const answer = await send(request, timeoutMs, payload)
  return { ...answer, duration_ms: Math.round(performance.now() - startedAt), request }
}

function send(request: Call, timeoutMs: number, payload?: string): Promise<Answer> {
  const open = request.url.startsWith('https:') ? httpsRequest : httpRequest
  return new Promise((resolve) => {
    const failed = (error: Error & { code?: string }) =>
      resolve({ status: null, headers: {}, body: '', error: error.code ?? error.name })
    const signal = AbortSignal.timeout(timeoutMs)
    // A connection of its own: a bot is a fresh machine, and a pooled one would hide what a new one shows.
    const options = { method: request.method, headers: request.headers, signal, agent: false }
    const outgoing = open(request.url, options, async (response) => {
      try {
        const chunks: Buffer[] = []
        let size = 0
        for await (const chunk of response as AsyncIterable<Buffer>) {
          size += chunk.length
          if (size <= MAX_BODY_BYTES) chunks.push(chunk)
        }
        const body = Buffer.concat(chunks).toString('utf8')
        resolve({ status: response.statusCode ?? null, headers: response.headers, body, error: null })
      } catch (error) {
        failed(error as Error)
      }
    })
    outgoing.on('error', failed)
    outgoing.end(payload)
  })
}
