import type { FastifyBaseLogger } from 'fastify'
import { AppError } from '../errors.ts'
import { jitter, sleep } from '../lib/deadline.ts'

const isStoreUnavailable = (error: unknown) => error instanceof AppError && error.code === 'store_unavailable'

/**
 * Repeats a write of tokens until the database has it: they exist nowhere else, so only the end of the process ends this.
 * Whatever is not the database's absence is a fault of ours and is thrown.
 */
export async function untilStored<T>(
  log: FastifyBaseLogger,
  grantId: string | null,
  work: () => Promise<T>,
): Promise<T> {
  for (let pauseMs = 50; ; pauseMs = Math.min(pauseMs * 2, 1000)) {
    try {
      return await work()
    } catch (error) {
      if (!isStoreUnavailable(error)) throw error
      log.error({ err: error, grant_id: grantId }, 'tokens are not stored yet; trying again')
      await sleep(jitter(pauseMs / 2, pauseMs))
    }
  }
}
