import { createDeadline, jitter, sleep } from '../lib/deadline.ts'
import { type ZoomHttp, type ZoomReply, type ZoomRequest, ZoomTransportError } from './http.ts'

export interface RetryBudget {
  /** Of each attempt. */
  attemptTimeoutMs: number
  /** Of both attempts and the pause between them. */
  budgetMs: number
}

const PAUSE_MS = { min: 50, max: 250 }
/** With less left after the pause, the second attempt would only delay the answer. */
const WORTH_TRYING_MS = 250

/**
 * Sends a GET, and once more where trouble tends to pass: no connection, a keep-alive socket closed just as we sent, a 5xx. Not
 * after a time-out, which would wait as long again, and never after a 429. @throws ZoomTransportError
 */
export async function getWithOneRetry(
  http: Pick<ZoomHttp, 'send'>,
  request: Omit<ZoomRequest, 'method' | 'timeoutMs' | 'form'>,
  { attemptTimeoutMs, budgetMs }: RetryBudget,
): Promise<ZoomReply> {
  const deadline = createDeadline(budgetMs)
  const attempt = () => {
    const timeoutMs = Math.max(1, Math.min(attemptTimeoutMs, deadline.remainingMs()))
    return http.send({ ...request, method: 'GET', timeoutMs }).catch((error: unknown) => {
      if (error instanceof ZoomTransportError) return error
      throw error
    })
  }
  let result = await attempt()
  const pauseMs = jitter(PAUSE_MS.min, PAUSE_MS.max)
  if (isPassing(result) && deadline.remainingMs() >= pauseMs + WORTH_TRYING_MS) {
    await sleep(pauseMs)
    result = await attempt()
  }
  if (result instanceof ZoomTransportError) throw result
  return result
}

function isPassing(result: ZoomReply | ZoomTransportError): boolean {
  return result instanceof ZoomTransportError ? !result.isTimeout : result.status >= 500
}
