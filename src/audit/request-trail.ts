import type { FastifyBaseLogger } from 'fastify'
import { AppError } from '../errors.ts'
import { createBatcher } from '../lib/batcher.ts'
import { uuidv7 } from '../lib/ids.ts'
import { createWriteBehind } from '../lib/write-behind.ts'
import type { AuditLog, LineOutcome, OpenLine } from './audit-log.ts'

const LINES_PER_STATEMENT = 200
const SETTLE_EVERY_MS = 500
const SETTLED_AT_ONCE = 1000
const QUEUED_OUTCOMES = 100_000 // some 20 MB; beyond it the oldest outcomes stay `unknown`

/** A line per request before it is carried out, its outcome afterwards in batches. */
export function createRequestTrail({
  log,
  audit,
}: {
  log: FastifyBaseLogger
  audit: Pick<AuditLog, 'open' | 'settle'>
}) {
  /** What the database refuses is a line that is not there, whatever the cause: nothing may be done without it. */
  async function openAll(lines: OpenLine[]): Promise<null[]> {
    await audit.open(lines).catch((cause: unknown) => {
      if (cause instanceof AppError) throw cause
      throw new AppError('store_unavailable', 'The audit trail cannot be written; nothing was done.', { cause })
    })
    return lines.map(() => null)
  }
  const batcher = createBatcher<OpenLine, null>({
    run: openAll,
    maxBatch: LINES_PER_STATEMENT,
    maxAtOnce: 2,
    patienceMs: 5,
    maxWaiting: 5000,
    maxWaitMs: 2000,
  })
  const outcomes = createWriteBehind<LineOutcome>({
    write: audit.settle,
    everyMs: SETTLE_EVERY_MS,
    batchItems: SETTLED_AT_ONCE,
    maxQueued: QUEUED_OUTCOMES,
    onDelayed: (err, waiting) => log.warn({ err, waiting }, 'outcomes of the audit trail are not written yet'),
    onRefused: (err, lost) => log.error({ err, lost }, 'outcomes of the audit trail were refused: they read unknown'),
    onLost: (lost) => log.error({ lost }, 'outcomes of the audit trail were not written: they read unknown'),
  })
  return {
    /** Writes the line and gives its id. @throws store_unavailable, busy: then it may not be relied on, and nothing may be done */
    async open(line: Omit<OpenLine, 'id'>): Promise<string> {
      const id = uuidv7()
      await batcher.add({ ...line, id })
      return id
    },
    /** Queues what an open line came to; it is written within a second, and on shutdown. */
    settle: outcomes.add,
    flush: outcomes.flush,
  }
}

export type RequestTrail = ReturnType<typeof createRequestTrail>
