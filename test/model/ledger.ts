import type { ZoomReply } from '../../src/zoom/http.ts'
import type { Replica } from './replica.ts'
import type { Effect, Fate } from './zoom.ts'

const LEASE_MS = 45_000
const PAUSE_MS = 5000
const RETRY_AFTER_MS = 7000

/** A refresh under way, as its sender and as Zoom see it. */
export interface Call {
  replica: Replica
  grantId: string
  token: string
  leasedAtMs: number
  sentAtMs: number
  /** Zoom has not seen it yet, and may still, even when its sender waits no longer. */
  isTravelling: boolean
  /** Zoom's answer, on its way back. */
  reply: ZoomReply | null
  effect: Effect | null
  /** How it ended for its sender; null while it waits. */
  ending: 'answered' | 'not_sent' | 'timeout' | 'broken' | 'killed' | null
  endedAtMs: number
  resolve: (reply: ZoomReply) => void
  reject: (error: Error) => void
}

interface Attempt {
  replica: Replica
  gen: bigint
  leaseSeq: bigint
  takenAtMs: number
  /** The database knows that nothing was spent under it. */
  isReleased: boolean
  isStored: boolean
}

export type Ledger = ReturnType<typeof createLedger>

/** The model's own books: what every replica did to the database and to Zoom, kept apart from what the vault writes down. */
export function createLedger(nowMs: () => number) {
  const attempts = new Map<string, Attempt[]>()
  const calls: Call[] = []
  const violations: string[] = []
  const tally = new Map<string, number>()
  const count = (what: string) => tally.set(what, (tally.get(what) ?? 0) + 1)
  const attemptsOf = (grantId: string) => attempts.get(grantId) ?? []

  /** Until when nobody else may present what this call has presented. */
  function heldUntilMs({ leasedAtMs, ending, effect, endedAtMs }: Call): number {
    const isToldBy = (...effects: Effect[]) => ending === 'answered' && effect !== null && effects.includes(effect)
    if (ending === 'not_sent' || isToldBy('invalid_client', 'blocked')) return 0
    const leaseEndMs = leasedAtMs + LEASE_MS // whoever is told later may find that another has taken over
    if (isToldBy('429')) return Math.min(endedAtMs + RETRY_AFTER_MS, leaseEndMs)
    const isShortened = isToldBy('500 before', '500 after', 'unknown refusal')
    return isShortened ? Math.min(endedAtMs + PAUSE_MS, leaseEndMs) : leaseEndMs
  }

  function noteVerdict(replica: Replica, grantId: string, reason: string): void {
    count(`verdict ${reason}`)
    const isHeld = (call: Call) => call.ending === null && nowMs() < heldUntilMs(call)
    const held = calls.find((call) => call.grantId === grantId && call.replica !== replica && isHeld(call))
    if (held) violations.push(`${replica.name} condemned a grant that ${held.replica.name} holds the lease of`)
  }

  return {
    calls,
    violations,
    tally,
    count,
    /** A statement took effect. */
    observe(replica: Replica, label: string, values: readonly unknown[], rows: unknown[]): void {
      if (rows.length === 0) return
      const grantId = String(values[0])
      const known = attemptsOf(grantId)
      const bySeq = (seq: unknown) => known.find(({ leaseSeq }) => leaseSeq === BigInt(String(seq)))
      if (label === 'grant_acquire') {
        const { gen, leaseSeq, recovering } = rows[0] as { gen: string; leaseSeq: string; recovering: boolean }
        const taken = { gen: BigInt(gen), leaseSeq: BigInt(leaseSeq), takenAtMs: nowMs() }
        attempts.set(grantId, [...known, { replica, ...taken, isReleased: false, isStored: false }])
        if (recovering) count('recovering')
      } else if (label === 'grant_release') Object.assign(bySeq(values[2]) ?? {}, { isReleased: true })
      else if (label === 'grant_persist') {
        count('stored')
        Object.assign(bySeq(values[5]) ?? {}, { isStored: true })
      } else if (label === 'grant_verdict') noteVerdict(replica, grantId, String(values[3]))
      else if (['grant_reconnect', 'grant_disconnect', 'grant_heal', 'grant_condemn_restored'].includes(label))
        count(label)
    },
    leasedAtMs(replica: Replica, grantId: string): number {
      const mine = attemptsOf(grantId).filter((attempt) => attempt.replica === replica)
      return mine.at(-1)?.takenAtMs ?? Number.NEGATIVE_INFINITY
    },
    /** A refresh token goes out: nobody else's presentation of it may still be covered by a lease. */
    notePresented(call: Call): void {
      count('presented')
      const rival = calls.find((other) => other.token === call.token && nowMs() < heldUntilMs(other))
      if (rival)
        violations.push(`${call.replica.name} presents what ${rival.replica.name} presented under a living lease`)
      calls.push(call)
    },
    /**
     * Whether an honest service cannot tell a refusal of this generation from a rotation of its own that was lost: an attempt on
     * it, or one beside the attempt that brought it, never came to an end that the database knows of.
     */
    isUnclear(grantId: string, gen: bigint, leaseSeq: bigint): boolean {
      const open = (at: bigint) => attemptsOf(grantId).filter(({ gen: of, isReleased }) => of === at && !isReleased)
      return open(gen).some((one) => one.leaseSeq !== leaseSeq) || open(gen - 1n).some((one) => !one.isStored)
    },
  }
}

export interface Truth {
  status: string
  reason: string | null
  gen: bigint
  leaseSeq: bigint
  isIntentOpen: boolean
  fate: Fate
}

/** What is wrong with a grant at rest. `isProbed`: somebody has asked for its token since; then nothing may be left open. */
export function faultOf(
  truth: Truth,
  { isUnclear, isProbed }: { isUnclear: boolean; isProbed: boolean },
): string | null {
  const { status, reason, fate, isIntentOpen } = truth
  if (status === 'connected') {
    if (fate === 'live') return null
    if (isProbed) return `connected and served, but the stored token is ${fate}`
    return fate === 'spent' && !isIntentOpen ? 'silent loss: connected, spent, no open intent' : null
  }
  if (fate === 'live') return `false reconnect: ${reason} although Zoom takes the stored token`
  const allowed = REASONS[fate] ?? []
  if (allowed.includes(String(reason)) || (isUnclear && reason === 'rotation_lost')) return null
  return `wrong reason: ${reason}, but Zoom has it as ${fate}`
}

/** What may be said of a token by the way it ended at Zoom. */
const REASONS: Partial<Record<Fate, string[]>> = {
  spent: ['rotation_lost'],
  family: ['rotation_lost'],
  revoked: ['rejected_by_zoom'],
  superseded: ['rejected_by_zoom', 'superseded'],
}
