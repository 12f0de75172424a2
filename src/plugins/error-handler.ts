import type { FastifyError, FastifyReply, FastifyRequest } from 'fastify'
import fp from 'fastify-plugin'
import { AppError, type ErrorCode } from '../errors.ts'
import { isDatabaseUnavailable } from '../lib/database-errors.ts'

const FRAMEWORK_CODES: Record<string, ErrorCode> = {
  FST_ERR_CTP_BODY_TOO_LARGE: 'payload_too_large',
  FST_ERR_CTP_INVALID_MEDIA_TYPE: 'unsupported_media_type',
}
const PUBLIC_DETAIL: Partial<Record<ErrorCode, string>> = {
  payload_too_large: 'The body is larger than this route takes.',
  unsupported_media_type: 'Send application/json.',
}

/** Body paths and messages of a failed validation; the values that failed are not repeated. */
function validationErrors(error: FastifyError): { path: string; message: string }[] {
  return (error.validation ?? []).slice(0, 20).map(({ instancePath, message }) => ({
    path: `${error.validationContext ?? ''}${instancePath ?? ''}`,
    message: String(message ?? 'is not valid').slice(0, 200),
  }))
}

/** The one function that turns whatever was thrown into a public error. The original stays its cause, for the log. */
export function toAppError(error: unknown): AppError {
  if (error instanceof AppError) return error
  if (!(error instanceof Error)) return new AppError('internal_error', 'Something went wrong on our side.')
  const fastifyError = error as FastifyError
  if (fastifyError.validation) {
    const errors = validationErrors(fastifyError)
    const detail = errors.map(({ path, message }) => `${path}: ${message}`).join('; ')
    return new AppError('invalid_request', detail || 'The request is not valid.', { errors })
  }
  const code = FRAMEWORK_CODES[fastifyError.code]
  if (code) return new AppError(code, PUBLIC_DETAIL[code] ?? 'The request is not valid.', { cause: error })
  if (fastifyError.statusCode && fastifyError.statusCode >= 400 && fastifyError.statusCode < 500)
    return new AppError('invalid_request', 'The request could not be read.', { cause: error })
  if (isDatabaseUnavailable(error))
    return new AppError('store_unavailable', 'The database did not answer; try again.', { cause: error })
  return new AppError('internal_error', 'Something went wrong on our side; quote the request id.', { cause: error })
}

export const PROBLEM_TYPE = 'application/problem+json; charset=utf-8'

/** RFC 9457 body of an error. @see https://www.rfc-editor.org/rfc/rfc9457 */
export function toProblem(error: AppError, requestId: string) {
  const { status, title } = error.rendering
  return {
    type: `urn:latchkey:error:${error.code}`,
    title,
    status,
    code: error.code,
    detail: error.message,
    request_id: requestId,
    ...(error.errors && error.errors.length > 0 ? { errors: error.errors } : {}),
  }
}

/** Sets status, `Retry-After` and caching for an error, and writes its one log line. */
export function prepareErrorReply(error: AppError, request: FastifyRequest, reply: FastifyReply): FastifyReply {
  const { status, retryable } = error.rendering
  if (status >= 500 && !retryable) request.log.error({ err: error }, 'request failed')
  else if (status >= 500) request.log.warn({ err: error }, 'request refused for now')
  else request.log.info({ code: error.code, reason: error.reason }, 'request refused')
  if (retryable) reply.header('retry-after', String(error.retryAfterSeconds ?? 1))
  if (error.code === 'unauthenticated') reply.header('www-authenticate', 'Bearer')
  return reply.status(status).header('cache-control', 'no-store')
}

/** Answers with an error as problem+json. */
export function sendProblem(error: AppError, request: FastifyRequest, reply: FastifyReply): FastifyReply {
  const body = JSON.stringify(toProblem(error, request.id))
  return prepareErrorReply(error, request, reply).type(PROBLEM_TYPE).send(body)
}

/** problem+json for thrown errors and unknown routes alike; neither repeats the URL. */
export const errorHandler = fp(
  async (app) => {
    app.setErrorHandler((error, request, reply) => sendProblem(toAppError(error), request, reply))
    app.setNotFoundHandler((request, reply) =>
      sendProblem(new AppError('not_found', 'There is nothing here; see /docs for the routes.'), request, reply),
    )
  },
  { name: 'error-handler' },
)
