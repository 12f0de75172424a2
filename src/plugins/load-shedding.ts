import underPressure from '@fastify/under-pressure'
import type { FastifyRequest } from 'fastify'
import fp from 'fastify-plugin'
import { AppError } from '../errors.ts'

/**
 * How late the event loop may run, on average over two seconds, before requests of a kind are turned away at the door: the management API
 * first, bots last. Whoever looks whether the process lives is always answered.
 */
const MOST_DELAY_MS = { api: 500, browser: 700, zoom: 1000, bot: 2000 }
/** Long enough that one stall, of the collector or of a starved machine, is no overload. */
const MEASURED_MS = 2000
const RETRY_AFTER_SECONDS = 2

function mostDelayMs({ routeOptions }: FastifyRequest): number {
  const caller = routeOptions.config?.caller
  if (caller === 'anyone') return Number.POSITIVE_INFINITY
  return caller === 'bot' || caller === 'zoom' || caller === 'browser' ? MOST_DELAY_MS[caller] : MOST_DELAY_MS.api
}

/** Answers `busy` while the process cannot keep up, so that those who are served are served in time. */
export const loadShedding = fp(
  async (app) => {
    await app.register(underPressure, {
      maxEventLoopDelay: Math.min(...Object.values(MOST_DELAY_MS)),
      sampleInterval: MEASURED_MS,
      async pressureHandler(request, _reply, _type, delayMs) {
        // not finite: one stall took the whole measurement, and it is over
        const lateMs = delayMs !== undefined && Number.isFinite(delayMs) ? delayMs : 0
        if (lateMs <= mostDelayMs(request)) return
        throw new AppError('busy', 'Too much is being done at once; try again.', {
          retryAfterSeconds: RETRY_AFTER_SECONDS,
        })
      },
    })
  },
  { name: 'load-shedding', dependencies: ['error-handler', 'http-edge'] },
)
