import type { FastifyBaseLogger } from 'fastify'
import { AppError } from '../errors.ts'
import { createWriteBehind } from '../lib/write-behind.ts'
import type { AuditLog, RefusalLine } from './audit-log.ts'

/** A request that was not let in. */
export interface Refusal {
  /** The tenant and key that presented themselves; null and `anonymous` where nothing proves who it was. */
  tenantId: string | null
  actor: string
  /** The class, in the form `auth.bearer_unknown`. */
  action: string
  requestId: string
  address: string
  /** What was answered. */
  outcome: string
  status: number
}

const MINUTE_MS = 60_000
const WRITE_EVERY_MS = 1000
/** Addresses a minute and replica; from then on refusals are counted without one, so that who has a million fills no table. */
const ADDRESSES_A_MINUTE = 100
const MAX_KINDS_WAITING = 5000

const keyOf = ({ action, tenantId, actor, address }: RefusalLine) => [action, tenantId, actor, address].join('|')

/**
 * Counts refusals: per class, key, address and minute one line, however many there are. They are counted in memory and written
 * once a second, so that a flood costs the database next to nothing; a process that dies forgets the last second.
 */
export function createRefusals({
  log,
  audit,
  now,
}: {
  log: FastifyBaseLogger
  audit: Pick<AuditLog, 'countRefusals'>
  now: () => number
}) {
  const counted = new Map<string, RefusalLine>()
  const addresses = { minute: 0, known: new Set<string>() }

  /** Null once too many others were refused in this minute. */
  function boundedAddress(address: string): string | null {
    const minute = Math.floor(now() / MINUTE_MS)
    if (minute !== addresses.minute) Object.assign(addresses, { minute, known: new Set() })
    if (addresses.known.size < ADDRESSES_A_MINUTE) addresses.known.add(address)
    return addresses.known.has(address) ? address : null
  }
  /** What is counted by now goes to the lines of the minute in which it is written: one that is over is not touched again. */
  async function write(): Promise<void> {
    const batch = [...counted].sort(([a], [b]) => (a < b ? -1 : 1)).map(([, line]) => line)
    counted.clear()
    try {
      await audit.countRefusals(batch)
    } catch (error) {
      if (error instanceof AppError) batch.forEach(count)
      throw error
    }
  }
  const writer = createWriteBehind<true>({
    write,
    everyMs: WRITE_EVERY_MS,
    batchItems: MAX_KINDS_WAITING,
    maxQueued: 1, // not what is written, only that there is something
    onDelayed: (err) => log.warn({ err }, 'refused requests are not in the audit trail yet'),
    onRefused: (err) => log.error({ err }, 'refused requests could not be written to the audit trail'),
    onLost: () => log.error('refused requests were not written to the audit trail'),
  })
  function count(line: RefusalLine): void {
    const key = keyOf(line)
    const known = counted.get(key)
    if (known) known.count += line.count
    else if (counted.size < MAX_KINDS_WAITING) counted.set(key, line)
  }
  return {
    note(refusal: Refusal): void {
      count({ ...refusal, address: boundedAddress(refusal.address), count: 1 })
      writer.add(true)
    },
    flush: writer.flush,
  }
}

export type Refusals = ReturnType<typeof createRefusals>
