import type { FastifyBaseLogger } from 'fastify'
import { AppError, foreignDatabase } from '../errors.ts'
import { sleep, withDeadline } from '../lib/deadline.ts'
import { uuidv7 } from '../lib/ids.ts'
import { SealError } from '../lib/sealing.ts'
import { AccessTokenRefused } from '../zoom/faults.ts'
import { claimsOf } from '../zoom/oauth.ts'
import type { TokenSet } from '../zoom/token-set.ts'
import { AUTHORISED, isoTime } from './log-lines.ts'
import { createTokenMemory, type Remembered, type Seen } from './memory.ts'
import type { Profile } from './person.ts'
import type { RefreshDeps, Refresher } from './refresh.ts'
import { createRefusals } from './refusals.ts'
import type { SealedPair, StoredRow } from './store.ts'
import { untilStored } from './until-stored.ts'

/** A grant whose new pair is stored. */
export interface AdmittedGrant {
  grantId: string
  /** What a host or organization linked through this authorisation is linked under. */
  consentEpoch: number
  /** A later authorisation of the same user was stored first, and has ended this one: the stored pair is its own. */
  isOutdated: boolean
}

/** What a Zoom user gave: the pair, and whose it is. */
export interface Consent {
  zoomAppId: string
  zoomUserId: string
  zoomAccountId: string | null
  tokens: TokenSet
  /** When the code was sent to Zoom for it, on the monotonic clock. */
  requestedAtMs: number
}

export interface BorrowOptions {
  /** How long the caller waits, all told; the refresh behind it goes on. */
  deadlineMs?: number
  /** The generation and life that a statement of the caller's has just read: spares the vault its own read. */
  seen?: Seen
}

/** What the rest of the service may ask of the vault. A refresh token never comes out of it. */
export interface GrantVault {
  /** Stores the pair just received from Zoom, before anything may refuse it. Retries until stored. */
  admit(consent: Consent): Promise<AdmittedGrant>
  /** Keeps what Zoom says of the person: never a key. */
  noteProfile(grantId: string, profile: Profile): Promise<void>
  /**
   * Lends a living access token for one call.
   * @throws reconnect_required, host_not_connected, host_blocked, app_misconfigured, zoom_unavailable, zoom_timeout,
   * zoom_rate_limited, busy, store_unavailable, foreign_database
   */
  withAccessToken<T>(grantId: string, use: (accessToken: string) => Promise<T>, options?: BorrowOptions): Promise<T>
  /** Renews in the background what is close to its end; never throws, never waits. */
  warm(grantId: string): void
  /** Renews now what has less life left than this, and waits for it; never throws. */
  freshen(grantId: string, leastSeconds: number): Promise<void>
  /**
   * Where no tenant links the grant any more: revokes it at Zoom, best effort, and erases its tokens.
   * `kept` while somebody links it, or has consented within the last `quietSeconds` (none are waited for by default).
   */
  releaseIfUnlinked(
    grantId: string,
    options: { revoke: boolean; quietSeconds?: number },
  ): Promise<'kept' | 'revoked' | 'revoke_failed' | 'erased'>
  /** Deletes what is left of the unlinked grants of one Zoom app, or of all apps of a tenant, their data keys included. */
  forget(of: { zoomAppId: string } | { tenantId: string }): Promise<void>
}

export interface VaultDeps extends RefreshDeps {
  log: FastifyBaseLogger
  refresher: Refresher
  destroyKeys: (grantId: string) => Promise<void>
}

const REVOKE_WAIT_MS = 10_000
// the second try meets a flight that was started after the refused token was marked stale
const FETCHES = 2

const refusedTwice = () =>
  new AppError('zoom_unavailable', 'Zoom refuses a fresh access token; try again later.', {
    reason: 'access_token_refused',
    zoomStatus: 401,
  })
const waitedTooLong = () =>
  new AppError('zoom_timeout', 'The access token was not renewed in time; try again.', { retryAfterSeconds: 2 })

/** A stored token that does not open tells nothing of its time: it must not keep a new one out. */
const nullIfSealed = (error: unknown): null => {
  if (error instanceof SealError) return null
  throw error
}

/** Makes the vault. `drain` waits for refreshes and writes under way: call it last on shutdown. */
export function createGrantVault(
  deps: VaultDeps,
): GrantVault & { drain(): Promise<void>; forgetMemory(grantId: string): void } {
  const { store, cipher, oauth, credentialsOf, isForeign, watermarks, life, log, monotonicNow, destroyKeys } = deps
  const { refresher } = deps
  const memory = createTokenMemory(deps)
  const refusals = createRefusals(monotonicNow)
  let admitting = 0

  function renewInBackground(grantId: string, entry: Remembered): void {
    if (isForeign() || !memory.isRenewalDue(entry)) return
    refresher.run(grantId, memory.lifeSecondsOf(entry) + 1).then(
      (fresh) => memory.remember(grantId, fresh),
      (error: unknown) => log.info({ err: error, grant_id: grantId }, 'an access token was not renewed ahead of need'),
    )
  }

  async function fetch(grantId: string, seen?: Seen, refusedGen?: bigint): Promise<Remembered> {
    const mayLive = !seen || seen.accessLifeSeconds >= life.leastSeconds()
    const living = mayLive ? await refresher.living(grantId) : null
    if (living && living.gen !== refusedGen) return memory.remember(grantId, living)
    for (let tries = 0; tries < FETCHES; tries++) {
      const fresh = await refresher.run(grantId)
      if (fresh.gen !== refusedGen) return memory.remember(grantId, fresh)
    }
    throw refusedTwice()
  }

  /** `refusedGen`: a generation that is not to be lent again. */
  async function borrow(grantId: string, endMs: number, seen?: Seen, refusedGen?: bigint): Promise<Remembered> {
    const known = memory.recall(grantId, seen)
    const leftMs = Math.max(0, endMs - monotonicNow())
    const entry =
      known && known.gen !== refusedGen
        ? known
        : await withDeadline(fetch(grantId, seen, refusedGen), leftMs, waitedTooLong)
    renewInBackground(grantId, entry)
    return entry
  }

  /** The API refused this token (401, 124). The row is read before anything is spent: another replica may have renewed it. */
  async function renewRefused(grantId: string, { gen }: Remembered): Promise<void> {
    memory.forget(grantId, gen)
    const row = await store.read(grantId)
    if (!row || row.gen !== gen) return
    if (isForeign()) throw foreignDatabase()
    if (!refusals.mayRenew(grantId, gen)) throw refusedTwice()
    await store.markStale(grantId, gen)
  }

  async function withAccessToken<T>(
    grantId: string,
    use: (accessToken: string) => Promise<T>,
    { seen, deadlineMs = 20_000 }: BorrowOptions = {},
  ): Promise<T> {
    const endMs = monotonicNow() + deadlineMs
    async function tryWith({ accessToken, gen }: Remembered): Promise<{ result: T } | null> {
      try {
        const result = await use(accessToken)
        refusals.noteTaken(grantId, gen)
        return { result }
      } catch (error) {
        if (error instanceof AccessTokenRefused) return null
        throw error
      }
    }
    const first = await borrow(grantId, endMs, seen)
    const taken = await tryWith(first)
    if (taken) return taken.result
    await renewRefused(grantId, first)
    const second = await borrow(grantId, endMs, undefined, first.gen)
    const retaken = await tryWith(second)
    if (retaken) return retaken.result
    refusals.pause(grantId, second.gen)
    throw refusedTwice()
  }

  /**
   * Whether the user authorised twice at once, and the later authorisation, which has killed ours, was stored before ours got
   * here: storing ours would throw the living pair away. Only a pair stored since we asked can be a later one.
   */
  async function isOutdated(grantId: string, row: StoredRow, { tokens, requestedAtMs }: Consent): Promise<boolean> {
    const isStoredSince = row.pairAgeSeconds * 1000 < monotonicNow() - requestedAtMs
    // a refresh of the old pair that was stored meanwhile was killed by our authorisation, whatever Zoom's clocks say
    if (row.status !== 'connected' || !row.accessCt || !isStoredSince || row.isRefreshed) return false
    const ours = claimsOf(tokens.accessToken)?.issuedAtSeconds
    const opened = await cipher.openAccessToken(grantId, row.gen, row.accessCt).catch(nullIfSealed)
    const stored = opened === null ? null : claimsOf(opened)?.issuedAtSeconds
    return typeof ours === 'number' && typeof stored === 'number' && ours < stored
  }

  async function storePair(grantId: string, consent: Consent): Promise<Omit<AdmittedGrant, 'grantId'>> {
    const { tokens } = consent
    for (;;) {
      const row = await store.stored(grantId)
      if (row && (await isOutdated(grantId, row, consent))) return { consentEpoch: row.consentEpoch, isOutdated: true }
      const gen = row?.gen ?? 0n
      const sealed = await cipher.sealPair(grantId, gen + 1n, tokens)
      const pair: SealedPair = { ...sealed, expiresInSeconds: tokens.expiresInSeconds }
      const stored = row ? await store.reconnect(grantId, gen, pair) : await store.storeFirstPair(grantId, pair)
      if (!stored) continue
      watermarks.note(grantId, { gen: gen + 1n, storedAtSeconds: stored.storedAtSeconds })
      watermarks.keep(grantId, gen + 1n, pair, stored)
      // like a refresh's line: what a restored database may have lost is read from the log
      log.info({ grant_id: grantId, gen: Number(gen), stored_at: isoTime(stored.storedAtSeconds) }, AUTHORISED)
      return { consentEpoch: stored.consentEpoch, isOutdated: false }
    }
  }

  const admit: GrantVault['admit'] = async (consent) => {
    admitting += 1
    try {
      return await admitUntilStored(consent)
    } finally {
      admitting -= 1
    }
  }

  const admitUntilStored: GrantVault['admit'] = (consent) =>
    untilStored(log, null, async () => {
      const { zoomAppId, zoomUserId, zoomAccountId, tokens } = consent
      const grantId = await store.admitGrant(uuidv7(), zoomAppId, zoomUserId, zoomAccountId, tokens.scopes)
      const stored = await storePair(grantId, consent)
      memory.forget(grantId)
      refusals.forget(grantId)
      return { grantId, ...stored }
    })

  /** For the revocation only: the last living access token, renewed if it must be; null where there is none to be had. */
  async function lastAccessToken(grantId: string): Promise<string | null> {
    const flight = refresher.run(grantId).then(({ accessToken }) => accessToken)
    const renewed = await withDeadline(flight, REVOKE_WAIT_MS, waitedTooLong).catch(() => null)
    return renewed ?? (await refresher.remains(grantId)) // of a grant that is blocked, or whose rotation was lost
  }

  const forgetMemory = (grantId: string): void => {
    memory.forget(grantId)
    watermarks.drop(grantId)
  }

  const releaseIfUnlinked: GrantVault['releaseIfUnlinked'] = async (grantId, { revoke, quietSeconds = 0 }) => {
    for (;;) {
      if (await store.isLinked(grantId, quietSeconds)) return 'kept'
      const accessToken = revoke && !isForeign() ? await lastAccessToken(grantId) : null
      const row = await store.read(grantId)
      if (!row || row.status === 'disconnected') return 'erased'
      // linked or renewed meanwhile: look again
      if (!(await store.disconnect(grantId, row.gen, { revoke, quietSeconds }))) continue
      forgetMemory(grantId)
      if (!revoke) return 'erased'
      const credentials = accessToken ? await credentialsOf(row.zoomAppId) : null
      const outcome = accessToken && credentials ? await oauth.revoke({ ...credentials, accessToken }) : null
      log.info({ grant_id: grantId, outcome: outcome?.outcome ?? 'no_access_token' }, 'a grant was let go')
      return outcome?.outcome === 'revoked' ? 'revoked' : 'revoke_failed'
    }
  }

  return {
    admit,
    noteProfile: store.noteProfile,
    withAccessToken,
    warm(grantId) {
      refresher.run(grantId).then(
        (fresh) => renewInBackground(grantId, memory.remember(grantId, fresh)),
        (error: unknown) => log.info({ err: error, grant_id: grantId }, 'a grant could not be warmed'),
      )
    },
    freshen: (grantId, leastSeconds) =>
      refresher.run(grantId, leastSeconds).then(
        (fresh) => void memory.remember(grantId, fresh),
        (error: unknown) => log.info({ err: error, grant_id: grantId }, 'a grant could not be warmed'),
      ),
    releaseIfUnlinked,
    async forget(of) {
      for (const grantId of await store.forget(of)) await destroyKeys(grantId)
    },
    forgetMemory,
    async drain() {
      await refresher.drain()
      await deps.appPauses.settled()
      while (admitting > 0) await sleep(20)
      watermarks.close()
    },
  }
}
