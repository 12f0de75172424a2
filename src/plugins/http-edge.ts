import { type IncomingMessage, type ServerResponse, STATUS_CODES } from 'node:http'
import { isIP, type Socket } from 'node:net'
import type { FastifyInstance, FastifyRequest } from 'fastify'
import fp from 'fastify-plugin'
import { AppError } from '../errors.ts'
import { headerLines } from '../lib/header-lines.ts'
import { uuidv7 } from '../lib/ids.ts'
import { PROBLEM_TYPE, toProblem } from './error-handler.ts'

const URL_LIMIT_BYTES = 2048 // a pass, a code and a cursor together need a quarter of it
const HEADER_LINES_LIMIT = 100 // Node drops lines beyond about a thousand in silence
/** Beyond it a connection is closed as it comes: each costs memory before it has said a word. */
const MAX_CONNECTIONS = 4000
const ONE_YEAR_SECONDS = 31_536_000

/** What no answer needs from a browser that shows it: nothing loads, frames, embeds or guesses. Pages put their own policy in place. */
const HEADERS = {
  'content-security-policy': "default-src 'none'; frame-ancestors 'none'; base-uri 'none'; form-action 'none'",
  'x-content-type-options': 'nosniff',
  'cross-origin-resource-policy': 'same-origin',
  'referrer-policy': 'no-referrer',
}

const invalid = (detail: string, status?: number) =>
  new AppError('invalid_request', detail, status === undefined ? {} : { status })

/**
 * The address of whoever calls. A trusted proxy's X-Forwarded-For is taken only where it is an address; text of a caller's
 * choice would end up in the log and split the limits.
 */
export function addressOf({ ip, socket }: FastifyRequest): string {
  return isIP(ip) ? ip : (socket.remoteAddress ?? 'unknown')
}

/** Refuses what the rest of the service need not think about. @throws invalid_request */
function checkRequest(request: FastifyRequest): void {
  const { raw } = request
  const caller = request.routeOptions.config?.caller
  // probes of old load balancers speak 1.0; nothing else does, and 1.0 and 0.9 need no Host
  if (raw.httpVersion !== '1.1' && caller !== 'anyone') throw invalid('Speak HTTP/1.1.')
  if ((raw.url ?? '').length > URL_LIMIT_BYTES) throw invalid('The URL is longer than 2 KiB.')
  if (raw.rawHeaders.length / 2 > HEADER_LINES_LIMIT) throw invalid('More than 100 header lines.', 431)
  const hosts = headerLines(raw.rawHeaders, 'host').length
  if (hosts > 1 || (hosts === 0 && raw.httpVersion === '1.1')) throw invalid('A request has one Host line.')
  // Node shows the first of two, another server on the way may have judged the body by the second
  if (headerLines(raw.rawHeaders, 'content-type').length > 1) throw invalid('More than one Content-Type line.')
  if (!isDecodable(raw.url ?? '')) throw invalid('The URL holds a percent sign that begins no UTF-8 character.')
}

/** Fastify takes a broken percent-encoding in a query for text, which is then not what the sender meant. */
function isDecodable(url: string): boolean {
  if (!url.includes('%')) return true
  try {
    decodeURIComponent(url)
    return true
  } catch {
    return false
  }
}

/** Deeper than any body that the API takes; JSON.parse alone would take thousands. */
const MAX_DEPTH = 20

/** Whether brackets nest deeper than that, strings aside. */
function isTooDeep(text: string): boolean {
  let depth = 0
  let isInString = false
  for (let at = 0; at < text.length; at++) {
    const character = text[at]
    if (character === '"') isInString = !isInString
    else if (isInString) at += character === '\\' ? 1 : 0
    else if (character === '{' || character === '[') depth += 1
    else if (character === '}' || character === ']') depth -= 1
    if (depth > MAX_DEPTH) return true
  }
  return false
}

/** Decodes strictly: bytes that are no UTF-8 would be stored as something the sender never wrote. */
function registerJsonParser(app: FastifyInstance): void {
  app.removeAllContentTypeParsers() // a string body of text/plain would pass for JSON
  const parse = app.getDefaultJsonParser('error', 'error')
  const utf8 = new TextDecoder('utf-8', { fatal: true })
  app.addContentTypeParser('application/json', { parseAs: 'buffer' }, (request, body, done) => {
    let text: string
    try {
      text = utf8.decode(body as Buffer)
    } catch {
      done(invalid('The body is not UTF-8.'))
      return
    }
    if (isTooDeep(text)) {
      done(invalid(`The body nests deeper than ${MAX_DEPTH} levels.`))
      return
    }
    parse(request, text, done)
  })
}

/** The headers of every answer, those that are sent below the routes included. */
export const edgeHeaders = (isHttps: boolean): Record<string, string> =>
  isHttps ? { ...HEADERS, 'strict-transport-security': `max-age=${ONE_YEAR_SECONDS}` } : HEADERS

/** Bounds on every request, strict JSON, security headers on every answer, and errors below the routes that look like all others. */
export const httpEdge = fp(
  async (app) => {
    registerJsonParser(app)
    const headers = edgeHeaders(app.config.isHttps)
    app.server.maxConnections = MAX_CONNECTIONS
    app.addHook('onRequest', (request, reply, done) => {
      reply.headers(headers)
      checkRequest(request)
      done()
    })
    app.server.on('checkExpectation', (_request: IncomingMessage, response: ServerResponse) => {
      const problem = bareProblem(417, 'Only Expect: 100-continue is known here.', headers)
      response.writeHead(problem.status, problem.headers).end(problem.body)
    })
    // nobody tunnels through here; without a listener Node would hang up without a word
    app.server.on('connect', (_request: IncomingMessage, socket: Socket) => {
      createClientErrorHandler(app.config.isHttps)(new Error('CONNECT is not spoken here'), socket)
    })
  },
  { name: 'http-edge', dependencies: ['config', 'error-handler'] },
)

function bareProblem(status: number, detail: string, edge: Record<string, string>) {
  const body = JSON.stringify(toProblem(invalid(detail, status), uuidv7()))
  const headers = {
    ...edge,
    'content-type': PROBLEM_TYPE,
    'content-length': String(Buffer.byteLength(body)),
    'cache-control': 'no-store',
    connection: 'close',
  }
  return { status, headers, body }
}

/** For requests that Node's parser refuses, or that never come to an end, before Fastify sees them. */
export function createClientErrorHandler(isHttps: boolean) {
  return (error: Error & { code?: string }, socket: Socket): void => {
    if (error.code === 'ECONNRESET' || !socket.writable) {
      socket.destroy()
      return
    }
    const status = { HPE_HEADER_OVERFLOW: 431, ERR_HTTP_REQUEST_TIMEOUT: 408 }[error.code ?? ''] ?? 400
    const { headers, body } = bareProblem(status, 'The request could not be read.', edgeHeaders(isHttps))
    const lines = Object.entries(headers).map(([name, value]) => `${name}: ${value}`)
    socket.end([`HTTP/1.1 ${status} ${STATUS_CODES[status]}`, ...lines, '', body].join('\r\n'))
  }
}
