import { Counter, Gauge, Histogram, type Registry } from 'prom-client'

export type CountedOutcome = 'ok' | 'sibling_won' | 'ambiguous' | 'retryable' | 'rejected' | 'lost'

/** What an operator counts grants by: a status, and the reason of those that must reconnect. */
export interface GrantCounts {
  byStatus: { status: string; reason: string | null; count: number }[]
  /** Since a refresh whose outcome nobody knows yet was begun; 0 where there is none. */
  oldestOpenIntentSeconds: number
}

export type GrantMetrics = ReturnType<typeof createGrantMetrics>

const REFRESH_BUCKETS_SECONDS = [0.05, 0.1, 0.25, 0.5, 1, 2, 4, 8, 20]
const HOUR = 3600
const DAY = 24 * HOUR
const AGE_BUCKETS_SECONDS = [60, 600, HOUR, 6 * HOUR, DAY, 7 * DAY, 15 * DAY, 30 * DAY, 60 * DAY, 90 * DAY]

/** What becomes of refreshes and grants, for `/metrics`. No label holds an id. */
export function createGrantMetrics(registry: Registry) {
  const registers = [registry]
  const refreshes = new Counter({
    name: 'latchkey_refreshes_total',
    help: 'Refreshes of grants by outcome: ok, sibling_won, ambiguous, retryable, rejected, lost.',
    labelNames: ['outcome'] as const,
    registers,
  })
  const durations = new Histogram({
    name: 'latchkey_refresh_duration_seconds',
    help: 'From taking the lease to the outcome of a refresh.',
    labelNames: ['outcome'] as const,
    buckets: REFRESH_BUCKETS_SECONDS,
    registers,
  })
  const rotations = new Counter({
    name: 'latchkey_rotations_total',
    help: 'Rotations by what became of them: kept, adopted (another replica had renewed the pair), ambiguous, lost.',
    labelNames: ['fate'] as const,
    registers,
  })
  const deaths = new Histogram({
    name: 'latchkey_refresh_token_age_at_death_seconds',
    help: 'How long ago a refresh token was stored when Zoom took it no more, by the reason of reconnect_required.',
    labelNames: ['reason'] as const,
    buckets: AGE_BUCKETS_SECONDS,
    registers,
  })
  const backwards = new Counter({
    name: 'latchkey_database_went_backwards_total',
    help: 'Grants whose row was older than one already seen: healed from memory, or condemned (restored_backup).',
    labelNames: ['fate'] as const,
    registers,
  })
  let openBreakers = () => ({ app: 0, grant: 0, endpoint: 0 })
  new Gauge({
    name: 'latchkey_breakers_open',
    help: 'What this replica does not refresh for now: Zoom apps, single grants, the token endpoint as a whole.',
    labelNames: ['breaker'] as const,
    registers,
    collect() {
      for (const [breaker, count] of Object.entries(openBreakers())) this.set({ breaker }, count)
    },
  })
  const grants = new Gauge({
    name: 'latchkey_grants',
    help: 'Grants by status and reason, in the whole database; counted about once a minute.',
    labelNames: ['status', 'reason'] as const,
    registers,
  })
  const oldestIntent = new Gauge({
    name: 'latchkey_oldest_open_intent_seconds',
    help: 'Age of the oldest refresh whose outcome is unknown; 0 when there is none. Counted about once a minute.',
    registers,
  })
  const earlyDeaths = new Gauge({
    name: 'latchkey_early_refresh_token_deaths',
    help: 'Of the Zoom app with the most: grants refused by Zoom younger than GRANT_KEEPALIVE_HOURS, within that time.',
    registers,
  })
  const FATES: Partial<Record<CountedOutcome, string>> = { ok: 'kept', ambiguous: 'ambiguous', lost: 'lost' }
  return {
    countRefresh(outcome: CountedOutcome, durationMs: number): void {
      refreshes.inc({ outcome })
      durations.observe({ outcome }, durationMs / 1000)
      const fate = FATES[outcome]
      if (fate) rotations.inc({ fate })
    },
    /** A flight ended with a pair that another replica had renewed. */
    countAdopted: (): void => rotations.inc({ fate: 'adopted' }),
    /** A refresh token that Zoom takes no more, and how long ago it was stored. */
    countDeath: (reason: string, ageSeconds: number): void => deaths.observe({ reason }, ageSeconds),
    countBackwards: (fate: 'healed' | 'condemned'): void => backwards.inc({ fate }),
    showEarlyDeaths: (count: number): void => earlyDeaths.set(count),
    watchBreakers(open: () => Record<'app' | 'grant' | 'endpoint', number>): void {
      openBreakers = open
    },
    showGrants({ byStatus, oldestOpenIntentSeconds }: GrantCounts): void {
      grants.reset() // a reason that nobody has any more is 0, not what it was
      for (const { status, reason, count } of byStatus) grants.set({ status, reason: reason ?? '' }, count)
      oldestIntent.set(oldestOpenIntentSeconds)
    },
  }
}
