import type { Dispatcher } from 'undici'

/** `not_sent` only when not one byte of the request left; `timeout` and `broken` leave open whether Zoom acted on it. */
export type TransportFault = 'not_sent' | 'timeout' | 'broken'

export interface CompleteReply {
  status: number
  /** Names in lower case. */
  headers: Record<string, string>
  /** The parsed JSON, or undefined where there was none or it was something else. */
  body: unknown
}

interface ReplyHandlerOptions {
  timeoutMs: number
  isPost: boolean
  /** 64 KiB where it is not given. */
  maxBodyBytes: number | undefined
  resolve(reply: CompleteReply): void
  /** `code` is the transport's error code, or one of ours: DEADLINE, OVERSIZED, ENCODED. */
  reject(kind: TransportFault, code: string): void
}

interface ReplyHandler extends Dispatcher.DispatchHandler {
  /** Ends the request for an error thrown before the transport took it. */
  fail(error: unknown): void
}

/** Far above any answer of Zoom's that we read but for lists, far below what would hurt. */
const MAX_BODY_BYTES = 64 * 1024
/**
 * After a pause (a blocked loop, SIGSTOP) timers run before sockets are read, and the answer may lie there already. A POST may
 * have spent a refresh token, so it waits what was measured to be enough; a GET can be repeated and gets a turn of the loop.
 */
const POST_GRACE_MS = 200
const GET_GRACE_MS = 10
/** A POST that waited longer than this for its connection is not sent at all: too little time is left to hear what it did. */
const POST_START_SHARE = 0.5
const CODE = /^[A-Z0-9_]{1,64}$/
const utf8 = new TextDecoder('utf-8', { fatal: true })

/**
 * Reads one answer. Built on undici's handler interface because `onRequestStart` comes after the connection stands and before
 * the first byte is written: that, and no list of error codes, proves that a request was never sent.
 */
export function createReplyHandler({
  timeoutMs,
  isPost,
  maxBodyBytes,
  resolve,
  reject,
}: ReplyHandlerOptions): ReplyHandler {
  let controller: Dispatcher.DispatchController | null = null
  let isSettled = false
  let head = { status: 0, headers: {} as Record<string, string> }
  const body = createBody(maxBodyBytes ?? MAX_BODY_BYTES)
  const expire = () => abandon(controller ? 'timeout' : 'not_sent', 'DEADLINE')
  const startByMs = performance.now() + (isPost ? timeoutMs * POST_START_SHARE : timeoutMs)
  let timer = setTimeout(() => {
    if (!controller) return expire() // nothing to read, and nothing may be sent in the time of grace
    timer = setTimeout(expire, isPost ? POST_GRACE_MS : GET_GRACE_MS)
  }, timeoutMs)

  function settle(tell: () => void): void {
    if (isSettled) return
    isSettled = true
    clearTimeout(timer)
    tell()
  }

  function abandon(kind: TransportFault, code: string): void {
    settle(() => {
      reject(kind, code)
      controller?.abort(new Error(code)) // destroys the socket: none is pooled with half an answer in it
    })
  }

  const fail = (error: unknown) => abandon(controller ? 'broken' : 'not_sent', codeOf(error))

  return {
    fail,
    onRequestStart(started) {
      // before any byte: what was given up while it queued must not be sent, and nothing is sent a second time
      if (performance.now() > startByMs) expire()
      if (isSettled || controller) return started.abort(new Error('ABANDONED'))
      controller = started
    },
    onResponseStart(_controller, status, received) {
      if (status < 200) return // 100 Continue, 103 Early Hints
      head = { status, headers: flatten(received) }
      if ((head.headers['content-encoding'] ?? 'identity').toLowerCase() !== 'identity') abandon('broken', 'ENCODED')
    },
    onResponseData(_controller, chunk) {
      if (!body.take(chunk)) abandon('broken', 'OVERSIZED')
    },
    onResponseEnd: () => settle(() => resolve({ ...head, body: body.parse() })),
    onResponseError: (_controller, error) => fail(error),
  }
}

function createBody(maxBytes: number): { take(chunk: Buffer): boolean; parse(): unknown } {
  const chunks: Buffer[] = []
  let size = 0
  return {
    take(chunk) {
      size += chunk.length
      if (size > maxBytes) return false
      chunks.push(chunk)
      return true
    },
    /** Judged by its bytes and not by its type: a maintenance page is not JSON whatever it says it is. */
    parse() {
      try {
        return JSON.parse(utf8.decode(chunks.length === 1 ? chunks[0] : Buffer.concat(chunks)))
      } catch {
        return undefined
      }
    },
  }
}

function flatten(received: NodeJS.Dict<string | string[]>): Record<string, string> {
  const flat: Record<string, string> = {}
  for (const name in received) {
    const value = received[name] ?? ''
    flat[name.toLowerCase()] = typeof value === 'string' ? value : value.join(', ')
  }
  return flat
}

function codeOf(error: unknown): string {
  const code = error instanceof Error && 'code' in error ? error.code : undefined
  return typeof code === 'string' && CODE.test(code) ? code : 'UNKNOWN'
}
