import { AppError } from '../errors.ts'
import { ZoomTransportError } from './http.ts'

/** Our error for a request without an answer; any other error goes on as it is. @throws zoom_timeout, zoom_unavailable */
export function throwUnreachable(error: unknown): never {
  if (!(error instanceof ZoomTransportError)) throw error
  const options = { cause: error, reason: error.kind }
  if (error.isTimeout) throw new AppError('zoom_timeout', 'Zoom did not answer in time; try again', options)
  throw new AppError('zoom_unavailable', 'Zoom could not be reached; try again', options)
}
