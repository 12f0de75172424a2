import { type Dispatcher, Pool } from 'undici'
import { type CompleteReply, createReplyHandler, type TransportFault } from './reply-handler.ts'

/** A complete answer of whatever status. An upstream's text is never kept: it could end in a log. */
export interface ZoomReply extends CompleteReply {
  text?: never
}

/**
 * A request without a complete answer. It has no `cause` on purpose: errors of the transport can hold the URL or the request's
 * headers. `code` is the transport's error code, or DEADLINE, OVERSIZED, ENCODED.
 */
export class ZoomTransportError extends Error {
  override readonly name = 'ZoomTransportError'
  readonly kind: TransportFault
  readonly code: string

  constructor(kind: TransportFault, code: string) {
    super(`No answer from Zoom: ${kind} (${code})`)
    this.kind = kind
    this.code = code
  }

  /** Whether time ran out, on the answer or already on the connection: repeating it would wait as long again. */
  get isTimeout(): boolean {
    return this.kind === 'timeout' || this.code === 'DEADLINE' || this.code === 'UND_ERR_CONNECT_TIMEOUT'
  }
}

export interface ZoomRequest {
  method: 'GET' | 'POST'
  /** Starts with a slash; ids in it were checked by whoever built it. */
  path: string
  query?: Record<string, string>
  headers?: Record<string, string>
  form?: Record<string, string>
  timeoutMs?: number
  /** A longer answer is broken off; 64 KiB by default. */
  maxBodyBytes?: number
}

export interface ZoomHttpOptions {
  /** Origin, with a path prefix where there is one. */
  baseUrl: string
  /** Replaces the own pool; whoever hands it in closes it. */
  dispatcher?: Dispatcher
  /** Sockets at most; further requests queue under their own deadline. */
  connections?: number
  /** Of one request, connecting and body included. */
  timeoutMs: number
}

export interface ZoomHttp {
  send(request: ZoomRequest): Promise<ZoomReply>
  close(): Promise<void>
}

/** No connection serves two requests at once, so this bounds how much of Zoom's slowness one replica can pile up. */
const DEFAULT_CONNECTIONS = 128

/**
 * One upstream origin: no redirect is followed, no encoding accepted, a body that is too long is cut, one deadline covers all of a
 * request, and nothing is ever sent twice here (see retry.ts for GETs). Make one for the token endpoint and one for the API, so
 * that mints cannot starve refreshes.
 * `send` @throws ZoomTransportError and nothing else; any complete answer, whatever its status, is returned.
 */
export function createZoomHttp({ baseUrl, dispatcher, connections, timeoutMs }: ZoomHttpOptions): ZoomHttp {
  const { origin, pathname } = new URL(baseUrl)
  const prefix = pathname.replace(/\/+$/, '')
  const target = dispatcher ?? createPool(origin, connections ?? DEFAULT_CONNECTIONS, timeoutMs)

  return {
    send(request) {
      return new Promise<ZoomReply>((resolve, reject) => {
        const isPost = request.method === 'POST'
        const handler = createReplyHandler({
          timeoutMs: request.timeoutMs ?? timeoutMs,
          isPost,
          maxBodyBytes: request.maxBodyBytes,
          resolve,
          reject: (kind, code) => reject(new ZoomTransportError(kind, code)),
        })
        try {
          target.dispatch(
            {
              origin,
              path: `${prefix}${request.path}${queryOf(request.query)}`,
              method: request.method,
              headers: headersOf(request),
              body: request.form ? new URLSearchParams(request.form).toString() : null,
              // A POST closes its socket. All of the token endpoint's are POSTs, so none goes out on a socket that the other side
              // may be closing just then, which would leave in doubt whether a refresh token was spent. One handshake per refresh.
              reset: isPost,
              headersTimeout: 0, // the handler's deadline covers both
              bodyTimeout: 0,
            },
            handler,
          )
        } catch (error) {
          handler.fail(error)
        }
      })
    },
    async close() {
      if (!dispatcher) await target.close()
    },
  }
}

function createPool(origin: string, connections: number, timeoutMs: number): Pool {
  // HTTP/1.1: over HTTP/2 one lost connection would leave every request on it in doubt
  return new Pool(origin, { connections, pipelining: 1, allowH2: false, connect: { timeout: timeoutMs } })
}

function queryOf(query: Record<string, string> | undefined): string {
  return query ? `?${new URLSearchParams(query)}` : ''
}

function headersOf({ headers, form }: ZoomRequest): Record<string, string> {
  return {
    accept: 'application/json',
    'accept-encoding': 'identity',
    ...(form ? { 'content-type': 'application/x-www-form-urlencoded' } : {}),
    ...headers,
  }
}
