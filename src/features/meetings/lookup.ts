import type { GrantVault } from '../../grants/vault.ts'
import { createDeadline, type Deadline, withDeadline } from '../../lib/deadline.ts'
import { createLru } from '../../lib/lru.ts'
import type { Quota } from '../../lib/quota.ts'
import type { Semaphore } from '../../lib/semaphore.ts'
import { createSingleFlight } from '../../lib/single-flight.ts'
import type { ZoomMeetingOwner } from '../../zoom/meeting-owner.ts'
import { MEETING_SCOPES } from '../../zoom/scopes.ts'
import type { AccountMap } from './account-store.ts'
import type { Candidate, LookupStore } from './lookup-store.ts'

/**
 * What became of a search. `looked_up`: nobody who was likely has it. `lookup_incomplete`: somebody could not be asked, or Zoom
 * did not say. `quota`: too many questions of the tenant. `mapping_deleted`: the tenant took the mapping away, and that stands.
 */
export type LookupOutcome = 'found' | 'looked_up' | 'lookup_incomplete' | 'quota' | 'mapping_deleted'
/** A yes names the host at Zoom. */
type Answer = { zoomUserId: string } | 'no' | 'no_scope' | 'unknown' | 'quota'

export interface LookupDeps {
  store: LookupStore
  accounts: AccountMap
  vault: Pick<GrantVault, 'withAccessToken'>
  ownerOf: ZoomMeetingOwner['ownerOf']
  /** Calls to Zoom per tenant. */
  quota: Quota
  /** Of all tenants: the sockets to Zoom are the mints' too. */
  calls: Semaphore
  zoomTimeoutMs: number
  monotonicNow: () => number
  count: (outcome: LookupOutcome) => void
  countQuestion: (answer: 'yes' | 'no' | 'no_scope' | 'unknown') => void
}

const NO_LIVES_MS = 60_000
const REMEMBERED = 50_000

const outOfQuota = new Error('the tenant has no question left')
const tooLate = new Error('the bot waits no longer')
const notTheirs = new Error('not their meeting')

/** Finds the host of a meeting that nobody has mapped, by asking Zoom with the tokens of those who are likely to be it. */
export function createMeetingLookup(deps: LookupDeps) {
  const { store, accounts, vault, ownerOf, quota, calls, zoomTimeoutMs, monotonicNow, count, countQuestion } = deps
  const flights = createSingleFlight<LookupOutcome>()
  // by tenant, meeting and grant: whoever connects after a no is asked at once
  const answered = createLru<string, { answer: 'no' | 'no_scope'; untilMs: number }>(REMEMBERED)

  async function askZoom(
    meetingId: string,
    candidate: Candidate,
    accessToken: string,
    timeoutMs: number,
  ): Promise<Exclude<Answer, 'quota'>> {
    const told = await ownerOf({ meetingId, accessToken, timeoutMs })
    if (told.answer !== 'shown') return told.answer === 'not_shown' ? 'no' : told.answer
    // an admin is shown the meetings of the whole account, a user his own
    const { zoomUserId } = told
    return candidate.isAccount || zoomUserId === candidate.zoomUserId ? { zoomUserId } : 'no'
  }

  /** One question. Whatever goes wrong with it says nothing of the meeting. */
  async function ask(tenantId: string, meetingId: string, candidate: Candidate, endMs: number): Promise<Answer> {
    const key = `${tenantId}/${meetingId}/${candidate.grantId}`
    const known = answered.get(key)
    if (known && known.untilMs > monotonicNow()) return known.answer
    if (!quota.isLeft(tenantId)) return 'quota'
    const leftMs = () => Math.max(1, Math.min(zoomTimeoutMs, endMs - monotonicNow()))
    const call = (accessToken: string) =>
      calls.run(async () => {
        if (monotonicNow() >= endMs) throw tooLate
        if (!quota.take(tenantId)) throw outOfQuota
        const answer = await askZoom(meetingId, candidate, accessToken, leftMs())
        countQuestion(typeof answer === 'string' ? answer : 'yes')
        return answer
      }, leftMs())
    const seen = { gen: BigInt(candidate.gen), accessLifeSeconds: candidate.accessLifeSeconds ?? 0 }
    try {
      const answer = await vault.withAccessToken(candidate.grantId, call, { seen, deadlineMs: leftMs() })
      if (answer === 'no' || answer === 'no_scope') answered.set(key, { answer, untilMs: monotonicNow() + NO_LIVES_MS })
      return answer
    } catch (error) {
      return error === outOfQuota ? 'quota' : 'unknown'
    }
  }

  /** All at once; the first who says yes ends it, whoever else still hangs. */
  async function firstYes(candidates: Candidate[], askOne: (candidate: Candidate) => Promise<Answer>) {
    const asked = candidates.map(async (candidate) => {
      const answer = await askOne(candidate)
      if (typeof answer === 'string') throw notTheirs
      return { candidate, ...answer }
    })
    return await Promise.any(asked).catch(() => null)
  }

  /** Where two at once said yes, they said the same. */
  async function keep(
    { candidate, zoomUserId }: { candidate: Candidate; zoomUserId: string },
    meetingId: string,
    at: Date,
  ) {
    if (candidate.isAccount) await accounts.map(candidate.grantId, [{ meetingId, zoomUserId }], at, 'lookup')
    else await store.found(candidate.grantId, meetingId, at)
  }

  /** Those whom a pass names, and organizations, have half of the time to themselves. */
  async function search(tenantId: string, meetingId: string, deadline: Deadline): Promise<LookupOutcome> {
    const { at, isMapped, isDeleted, candidates } = await store.asking(tenantId, meetingId, MEETING_SCOPES)
    if (isMapped) return 'found'
    if (isDeleted) return 'mapping_deleted'
    const rounds = [candidates.filter(({ isFirst }) => isFirst), candidates.filter(({ isFirst }) => !isFirst)]
    const waiting = rounds.filter(({ length }) => length > 0)
    const answers: Answer[] = []
    for (const [index, round] of waiting.entries()) {
      if (deadline.expired) return 'lookup_incomplete'
      const endMs = monotonicNow() + deadline.remainingMs() / (waiting.length - index)
      const yes = await firstYes(round, async (candidate) => {
        const answer = await ask(tenantId, meetingId, candidate, endMs)
        answers.push(answer)
        return answer
      })
      if (!yes) continue
      await keep(yes, meetingId, at)
      return 'found'
    }
    if (answers.includes('quota')) return 'quota'
    return answers.every((answer) => answer === 'no') ? 'looked_up' : 'lookup_incomplete'
  }

  return {
    /**
     * Asks whose meeting it is, and keeps the answer in every tenant that links the host; `found` also where that left another
     * mapping standing. Never takes longer than `deadlineMs`. Misses of one meeting at once share one search. @throws store_unavailable
     */
    async lookUp(tenantId: string, meetingId: string, deadlineMs: number): Promise<LookupOutcome> {
      if (deadlineMs <= 0) return 'lookup_incomplete'
      const flight = flights.run(`${tenantId}/${meetingId}`, async () => {
        const outcome = await search(tenantId, meetingId, createDeadline(deadlineMs, monotonicNow))
        count(outcome)
        return outcome
      })
      return await withDeadline(flight, deadlineMs, () => tooLate).catch((error: unknown) => {
        if (error === tooLate) return 'lookup_incomplete'
        throw error
      })
    },
  }
}
