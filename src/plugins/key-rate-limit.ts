import rateLimit from '@fastify/rate-limit'
import fp from 'fastify-plugin'
import { AppError } from '../errors.ts'

// 200 a second, of which 400 may come at once
const MAX = 400
const WINDOW_MS = 2000

const operator = 'operator'

/**
 * Bounds what one API key asks for, on each replica; the operator's own key is not bounded. Register it after `api-auth`, whose hook
 * then has said who calls, and before the routes.
 */
export const keyRateLimit = fp(
  async (app) => {
    await app.register(rateLimit, {
      max: MAX,
      timeWindow: WINDOW_MS,
      hook: 'onRequest',
      keyGenerator: ({ caller }) => (caller?.kind === 'tenant_key' ? caller.keyId : operator),
      allowList: (_request, key) => key === operator,
      addHeaders: {
        'x-ratelimit-limit': false,
        'x-ratelimit-remaining': false,
        'x-ratelimit-reset': false,
        'retry-after': false,
      },
      addHeadersOnExceeding: { 'x-ratelimit-limit': false, 'x-ratelimit-remaining': false, 'x-ratelimit-reset': false },
      errorResponseBuilder: (_request, { ttl }) =>
        new AppError('rate_limited', 'This API key asks more than 200 times a second; wait.', {
          retryAfterSeconds: Math.max(1, Math.ceil(ttl / 1000)),
        }),
    })
  },
  { name: 'key-rate-limit', dependencies: ['api-auth', 'error-handler'] },
)
