import { invalidField } from '../../errors.ts'

const DAY_MS = 24 * 3600 * 1000
const AFTER_JOIN_MS = DAY_MS
const WITHOUT_JOIN_MS = 30 * DAY_MS
const LONGEST_MS = 400 * DAY_MS

function checked(expiresAt: Date, nowMs: number): Date {
  if (expiresAt.getTime() <= nowMs) throw invalidField('expires_at', 'must be in the future')
  if (expiresAt.getTime() > nowMs + LONGEST_MS) throw invalidField('expires_at', 'must be within 400 days')
  return expiresAt
}

/** When a new pass ends: as asked, else 24 h after the bot joins, else in 30 days. @throws invalid_request */
export function expiryOf(joinAt: Date | null, expiresAt: Date | null, nowMs: number): Date {
  const byDefault = joinAt ? joinAt.getTime() + AFTER_JOIN_MS : nowMs + WITHOUT_JOIN_MS
  return checked(expiresAt ?? new Date(Math.min(byDefault, nowMs + LONGEST_MS)), nowMs)
}

/**
 * When a changed pass ends: as asked; with a later `join_at` alone, late enough for it; else as before.
 * @throws invalid_request
 */
export function changedExpiryOf(
  current: Date,
  { joinAt, expiresAt }: { joinAt?: Date | null | undefined; expiresAt?: Date | undefined },
  nowMs: number,
): Date {
  if (expiresAt) return checked(expiresAt, nowMs)
  const needed = joinAt ? joinAt.getTime() + AFTER_JOIN_MS : 0
  return needed > current.getTime() ? checked(new Date(needed), nowMs) : current
}
