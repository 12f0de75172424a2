import type { FastifyBaseLogger } from 'fastify'
import { AppError } from '../errors.ts'
import { withDeadline } from '../lib/deadline.ts'
import { uuidv7 } from '../lib/ids.ts'
import { createLru } from '../lib/lru.ts'
import { AccessTokenRefused } from '../zoom/faults.ts'
import type { TokenSet } from '../zoom/token-set.ts'
import type { FreshToken } from './attempt.ts'
import { createRefresher, MIN_LIFE_SECONDS, type RefreshDeps } from './refresh.ts'
import type { SealedPair } from './store.ts'
import { untilStored } from './until-stored.ts'

/** A grant whose new pair is stored. */
export interface AdmittedGrant {
  grantId: string
  /** What a host or organization linked through this authorisation is linked under. */
  consentEpoch: number
}

export interface BorrowOptions {
  /** How long the caller waits, all told; the refresh behind it goes on. */
  deadlineMs?: number
  /** The generation and life that a statement of the caller's has just read: spares the vault its own read. */
  seen?: { gen: bigint; accessLifeSeconds: number }
}

/** What the rest of the service may ask of the vault. A refresh token never comes out of it. */
export interface GrantVault {
  /** Stores the pair just received from Zoom, before anything may refuse it. Retries until stored. */
  admit(input: {
    zoomAppId: string
    zoomUserId: string
    zoomAccountId: string | null
    tokens: TokenSet
  }): Promise<AdmittedGrant>
  /** Keeps what Zoom says of the person: never a key, only shown. */
  noteProfile(grantId: string, profile: { email: string | null; displayName: string | null }): Promise<void>
  /**
   * Lends a living access token for one call.
   * @throws reconnect_required, host_not_connected, host_blocked, app_misconfigured, zoom_unavailable, zoom_timeout,
   * zoom_rate_limited, busy, store_unavailable, foreign_database
   */
  withAccessToken<T>(grantId: string, use: (accessToken: string) => Promise<T>, options?: BorrowOptions): Promise<T>
  /** Renews in the background what is close to its end; never throws, never waits. */
  warm(grantId: string): void
  /**
   * Where no tenant links the grant any more: revokes it at Zoom, best effort, and erases its tokens.
   * `kept` while somebody links it.
   */
  releaseIfUnlinked(
    grantId: string,
    options: { revoke: boolean },
  ): Promise<'kept' | 'revoked' | 'revoke_failed' | 'erased'>
  /** Deletes what is left of the unlinked grants of one Zoom app, or of all apps of a tenant, their data keys included. */
  forget(of: { zoomAppId: string } | { tenantId: string }): Promise<void>
}

export interface VaultDeps extends RefreshDeps {
  log: FastifyBaseLogger
  /** An access token with less life left is renewed in the background, while it is still lent. */
  refreshMarginSeconds: number
  destroyKeys: (grantId: string) => Promise<void>
}

interface Remembered {
  accessToken: string
  gen: bigint
  /** On the monotonic clock. */
  expiresAtMs: number
  renewAtMs: number
  /** When the database last confirmed that this generation is the current one. */
  confirmedAtMs: number
}

const REMEMBERED_GRANTS = 10_000
// how long a remembered token is lent without asking the database whether it is still the current one
const KNOWLEDGE_MS = 5000
// a token that the API refuses although it was just renewed is not to blame; do not renew it again for every caller
const REFUSAL_PAUSE_MS = 30_000
const REVOKE_WAIT_MS = 10_000

/** Makes the vault. `drain` waits for refreshes and writes under way: call it last on shutdown. */
export function createGrantVault(deps: VaultDeps): GrantVault & { drain(): Promise<void> } {
  const { store, cipher, oauth, credentialsOf, isForeign, log, monotonicNow, refreshMarginSeconds, destroyKeys } = deps
  const remembered = createLru<string, Remembered>(REMEMBERED_GRANTS)
  const refusedUntilMs = createLru<string, number>(REMEMBERED_GRANTS)
  const refresher = createRefresher(deps)

  function remember(grantId: string, fresh: FreshToken): Remembered {
    const nowMs = monotonicNow()
    // a short-lived token is renewed at half its life: a margin longer than the life would renew it for every mint
    const marginSeconds = Math.min(refreshMarginSeconds, fresh.totalSeconds / 2)
    const entry = {
      accessToken: fresh.accessToken,
      gen: fresh.gen,
      expiresAtMs: nowMs + fresh.lifeSeconds * 1000,
      renewAtMs: nowMs + (fresh.lifeSeconds - marginSeconds) * 1000,
      confirmedAtMs: nowMs,
    }
    remembered.set(grantId, entry)
    return entry
  }

  function recall(grantId: string, seen: BorrowOptions['seen']): Remembered | null {
    const entry = remembered.get(grantId)
    if (!entry) return null
    const nowMs = monotonicNow()
    if (seen?.gen === entry.gen) {
      entry.confirmedAtMs = nowMs
      entry.expiresAtMs = Math.min(entry.expiresAtMs, nowMs + seen.accessLifeSeconds * 1000)
    }
    const isKnown = nowMs - entry.confirmedAtMs <= KNOWLEDGE_MS && (!seen || seen.gen === entry.gen)
    return isKnown && entry.expiresAtMs - nowMs >= MIN_LIFE_SECONDS * 1000 ? entry : null
  }

  function renewInBackground(grantId: string, entry: Remembered): void {
    const nowMs = monotonicNow()
    if (nowMs < entry.renewAtMs || isForeign()) return
    entry.renewAtMs = nowMs + KNOWLEDGE_MS // one try in a while, whatever comes of it
    refresher.run(grantId, (entry.expiresAtMs - nowMs) / 1000 + 1).then(
      (fresh) => remember(grantId, fresh),
      (error: unknown) => log.info({ err: error, grant_id: grantId }, 'an access token was not renewed ahead of need'),
    )
  }

  async function borrow(grantId: string, options: BorrowOptions, endMs: number): Promise<Remembered> {
    const known = recall(grantId, options.seen)
    if (known) {
      renewInBackground(grantId, known)
      return known
    }
    const flight = refresher.run(grantId).then((fresh) => remember(grantId, fresh))
    const entry = await withDeadline(flight, Math.max(0, endMs - monotonicNow()), () => {
      return new AppError('zoom_timeout', 'The access token was not renewed in time; try again.', {
        retryAfterSeconds: 2,
      })
    })
    renewInBackground(grantId, entry)
    return entry
  }

  /** The API refused this token (401, 124). The row is read before anything is spent: another replica may have renewed it. */
  async function renewRefused(grantId: string, refused: Remembered): Promise<void> {
    remembered.delete(grantId)
    const isPaused = (refusedUntilMs.get(grantId) ?? 0) > monotonicNow()
    const row = await store.read(grantId)
    if (!row || row.gen !== refused.gen) return
    if (isPaused) throw refusedTwice()
    await store.markStale(grantId, refused.gen)
  }
  const refusedTwice = () =>
    new AppError('zoom_unavailable', 'Zoom refuses a fresh access token; try again later.', {
      reason: 'access_token_refused',
      zoomStatus: 401,
    })

  async function withAccessToken<T>(
    grantId: string,
    use: (accessToken: string) => Promise<T>,
    options: BorrowOptions = {},
  ): Promise<T> {
    const endMs = monotonicNow() + (options.deadlineMs ?? 20_000)
    const first = await borrow(grantId, options, endMs)
    try {
      return await use(first.accessToken)
    } catch (error) {
      if (!(error instanceof AccessTokenRefused)) throw error
    }
    await renewRefused(grantId, first)
    const second = await borrow(grantId, {}, endMs)
    try {
      return await use(second.accessToken)
    } catch (error) {
      if (!(error instanceof AccessTokenRefused)) throw error
      refusedUntilMs.set(grantId, monotonicNow() + REFUSAL_PAUSE_MS)
      throw refusedTwice()
    }
  }

  async function storePair(grantId: string, tokens: TokenSet): Promise<number> {
    for (;;) {
      const row = await store.stored(grantId)
      const gen = row?.gen ?? 0n
      const sealed = await cipher.sealPair(grantId, gen + 1n, tokens)
      const pair: SealedPair = { ...sealed, expiresInSeconds: tokens.expiresInSeconds }
      const epoch = row ? await store.reconnect(grantId, gen, pair) : await store.storeFirstPair(grantId, pair)
      if (epoch !== null) return epoch
    }
  }

  const admit: GrantVault['admit'] = ({ zoomAppId, zoomUserId, zoomAccountId, tokens }) =>
    untilStored(log, null, async () => {
      const grantId = await store.admitGrant(uuidv7(), zoomAppId, zoomUserId, zoomAccountId, tokens.scopes)
      const consentEpoch = await storePair(grantId, tokens)
      remembered.delete(grantId)
      refusedUntilMs.delete(grantId)
      return { grantId, consentEpoch }
    })

  /** For the revocation only: the last living access token, renewed if it must be; null where there is none to be had. */
  async function lastAccessToken(grantId: string): Promise<string | null> {
    const flight = refresher.run(grantId).then(({ accessToken }) => accessToken)
    return await withDeadline(flight, REVOKE_WAIT_MS, () => new Error('too slow')).catch(() => null)
  }

  const releaseIfUnlinked: GrantVault['releaseIfUnlinked'] = async (grantId, { revoke }) => {
    for (;;) {
      if (await store.isLinked(grantId)) return 'kept'
      const accessToken = revoke && !isForeign() ? await lastAccessToken(grantId) : null
      const row = await store.read(grantId)
      if (!row || row.status === 'disconnected') return 'erased'
      if (!(await store.disconnect(grantId, row.gen))) continue // linked or renewed meanwhile: look again
      remembered.delete(grantId)
      if (!revoke) return 'erased'
      const credentials = accessToken ? await credentialsOf(row.zoomAppId) : null
      const outcome = accessToken && credentials ? await oauth.revoke({ ...credentials, accessToken }) : null
      log.info({ grant_id: grantId, outcome: outcome?.outcome ?? 'no_access_token' }, 'a grant was let go')
      return outcome?.outcome === 'revoked' ? 'revoked' : 'revoke_failed'
    }
  }

  return {
    admit,
    noteProfile: (grantId, { email, displayName }) => store.noteProfile(grantId, email, displayName),
    withAccessToken,
    warm(grantId) {
      refresher.run(grantId).then(
        (fresh) => renewInBackground(grantId, remember(grantId, fresh)),
        (error: unknown) => log.info({ err: error, grant_id: grantId }, 'a grant could not be warmed'),
      )
    },
    releaseIfUnlinked,
    async forget(of) {
      for (const grantId of await store.forget(of)) await destroyKeys(grantId)
    },
    drain: () => refresher.drain(),
  }
}
