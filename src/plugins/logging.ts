import type { FastifyServerOptions } from 'fastify'
import { type DestinationStream, stdTimeFunctions } from 'pino'
import { AppError } from '../errors.ts'
import { addressOf } from './http-edge.ts'

// Errors of the language itself: their text names our code, never what a caller sent.
const PLAIN_ERRORS = new Set([
  'TypeError',
  'RangeError',
  'ReferenceError',
  'SealError',
  'ZoomTransportError',
  'ConfigError',
  'StartError',
])
const SQL_FIELDS = ['code', 'constraint', 'table', 'routine', 'severity', 'syscall'] as const
const MAX_CAUSES = 4

/**
 * What the log may hold of an error: name, code, where it came from, and its text only where we wrote that text. Messages of
 * drivers and upstreams can quote what was sent; redaction by field name does not reach into them.
 */
function describeError(error: unknown, depth = 0, hasStack = true): Record<string, unknown> {
  if (!(error instanceof Error)) return { type: typeof error }
  const known = error instanceof AppError
  const fields = error as unknown as Record<string, unknown>
  const described: Record<string, unknown> = { type: error.name }
  if (known || PLAIN_ERRORS.has(error.name)) described.message = error.message
  for (const name of SQL_FIELDS) if (typeof fields[name] === 'string') described[name] = fields[name]
  if (known)
    Object.assign(described, { reason: error.reason, zoom_status: error.zoomStatus, zoom_code: error.zoomCode })
  else if (hasStack)
    described.stack = error.stack
      ?.split('\n')
      .filter((line) => line.startsWith('    at '))
      .slice(0, 12)
      .join('\n')
  // a fault of a client's or of Zoom's is no fault of our code: where it passed through says nothing
  const isOurs = hasStack && (!known || error.code === 'internal_error')
  if (error.cause !== undefined && depth < MAX_CAUSES) described.cause = describeError(error.cause, depth + 1, isOurs)
  return described
}

/** Pino's options: no header, no query, no body; a request is its method, its route's template and its address. */
export function loggerOptions(level: string, stream?: DestinationStream): FastifyServerOptions['logger'] {
  return {
    level,
    ...(stream ? { stream } : {}),
    base: null,
    messageKey: 'message',
    timestamp: stdTimeFunctions.isoTime,
    formatters: { level: (label: string) => ({ level: label }) },
    serializers: {
      req: (request) => ({
        method: request.method,
        route: request.routeOptions?.url ?? 'unknown',
        address: addressOf(request),
      }),
      res: (reply) => ({ status: reply.statusCode }),
      err: (error) => describeError(error) as never,
    },
  }
}
