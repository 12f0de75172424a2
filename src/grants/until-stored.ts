import type { FastifyBaseLogger } from 'fastify'
import { jitter, sleep } from '../lib/deadline.ts'
import { SealError } from '../lib/sealing.ts'

/** What fails in the same way for ever: a value or a reference that the database refuses, a data key that is destroyed. */
const isHopeless = (error: unknown) =>
  error instanceof SealError || /^(22|23)/.test(String((error as { code?: unknown }).code))

/**
 * Repeats a write of tokens until the database has it: they exist nowhere else, so only the end of the process ends this. A
 * verdict is repeated likewise, though nothing is lost with it: the next attempt would reach it again.
 * Also through what is not the database's absence (a lost privilege, a table under repair): somebody will mend that.
 */
export async function untilStored<T>(
  log: FastifyBaseLogger,
  grantId: string | null,
  work: () => Promise<T>,
  what: 'tokens' | 'verdict' = 'tokens',
): Promise<T> {
  for (let pauseMs = 50; ; pauseMs = Math.min(pauseMs * 2, 1000)) {
    try {
      return await work()
    } catch (error) {
      if (isHopeless(error)) throw error
      const fields = { err: error, grant_id: grantId }
      if (what === 'tokens') log.error(fields, 'tokens are not stored yet; trying again')
      else log.warn(fields, 'a verdict on a grant is not stored yet; trying again')
      await sleep(jitter(pauseMs / 2, pauseMs))
    }
  }
}
