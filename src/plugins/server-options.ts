import { type FastifyReply, type FastifyRequest, type FastifyServerOptions, LogController } from 'fastify'
import type { DestinationStream } from 'pino'
import type { Config } from '../config.ts'
import { AppError } from '../errors.ts'
import { uuidv7 } from '../lib/ids.ts'
import { sendProblem } from './error-handler.ts'
import { createClientErrorHandler, edgeHeaders } from './http-edge.ts'
import { loggerOptions } from './logging.ts'

const BODY_LIMIT_BYTES = 16 * 1024 // at this size the deepest JSON costs less than a millisecond to refuse
const HEADERS_LIMIT_BYTES = 16 * 1024
const HEADERS_TIMEOUT_MS = 10_000
const REQUEST_TIMEOUT_MS = 15_000
const REQUESTS_PER_CONNECTION = 10_000
const KEEP_ALIVE_TIMEOUT_MS = 72_000 // longer than common load balancers keep theirs, so that they close first

/** Errors before there is a route, such as a broken percent-encoding: the same body as any other, without the URL. */
const frameworkErrorsWith =
  (headers: Record<string, string>) => (_error: unknown, request: FastifyRequest, reply: FastifyReply) => {
    sendProblem(new AppError('invalid_request', 'The URL could not be read.'), request, reply.headers(headers))
  }

/** Fastify as this service needs it: bounded in every direction, and no line of its own that would hold a URL. */
export function serverOptions(config: Config, logStream?: DestinationStream): FastifyServerOptions {
  return {
    logger: loggerOptions(config.LOG_LEVEL, logStream),
    // Fastify's own request lines hold the raw URL; ours are in request-log.ts
    logController: new LogController({ disableRequestLogging: true, requestIdLogLabel: 'request_id' }),
    genReqId: () => uuidv7(),
    requestIdHeader: false,
    trustProxy: config.TRUSTED_PROXIES.length > 0 ? config.TRUSTED_PROXIES : false,
    exposeHeadRoutes: false,
    bodyLimit: BODY_LIMIT_BYTES,
    requestTimeout: REQUEST_TIMEOUT_MS,
    keepAliveTimeout: KEEP_ALIVE_TIMEOUT_MS,
    maxRequestsPerSocket: REQUESTS_PER_CONNECTION,
    forceCloseConnections: 'idle',
    routerOptions: { ignoreTrailingSlash: true, maxParamLength: 100 },
    http: {
      maxHeaderSize: HEADERS_LIMIT_BYTES,
      headersTimeout: HEADERS_TIMEOUT_MS,
      connectionsCheckingInterval: 1000,
      requireHostHeader: false, // http-edge.ts does, with a body that says so; Node's refusal has none
    },
    clientErrorHandler: createClientErrorHandler(config.isHttps),
    frameworkErrors: frameworkErrorsWith(edgeHeaders(config.isHttps)) as NonNullable<
      FastifyServerOptions['frameworkErrors']
    >,
  } as FastifyServerOptions
}
