import type { FastifyBaseLogger } from 'fastify'
import { AppError } from '../errors.ts'
import { sleep } from '../lib/deadline.ts'
import { type Sql, statement } from '../lib/sql.ts'
import { claimsOf, type RefreshOutcome, type ZoomOAuth } from '../zoom/oauth.ts'
import type { TokenSet } from '../zoom/token-set.ts'
import type { ZoomUsers } from '../zoom/users.ts'
import { type AnswerDeps, createAnswers } from './answers.ts'
import { appMisconfigured } from './app-breaker.ts'
import type { ZoomAppCredentials } from './attempt.ts'
import { untilStored } from './until-stored.ts'
import type { GrantVault } from './vault.ts'

export interface RedeemDeps extends AnswerDeps {
  sql: Sql
  oauth: Pick<ZoomOAuth, 'refresh' | 'revoke'>
  users: Pick<ZoomUsers, 'me'>
  admit: GrantVault['admit']
  /** What is left of the stored access token; null where none lives. */
  remains: (grantId: string) => Promise<string | null>
  credentialsOf: (zoomAppId: string) => Promise<ZoomAppCredentials | null>
  log: FastifyBaseLogger
  monotonicNow: () => number
}

/** A refresh token that another system held, and that a row of its own says will be presented now. */
export interface Presented {
  zoomAppId: string
  refreshToken: string
  /** Of the row that claims it; stands for it in the breakers and the log. */
  claimId: string
  /** An earlier attempt never reported: it may have spent the token. */
  isRecovery: boolean
  /** On the monotonic clock: past this the claim may be somebody else's, and nothing is sent. */
  sendBeforeMs: number
  /** Writes down that the pair is stored, before anything else is done with it. Repeated until it is. */
  onStored: (stored: StoredGrant) => Promise<void>
}

export interface StoredGrant {
  grantId: string
  consentEpoch: number
}

/** What became of the token. Only after `unspent` and `blocked` is it as good as before. */
export type Redemption =
  | ({ outcome: 'stored' } & StoredGrant)
  /** Zoom takes it no more; the code says why, as for a grant. */
  | { outcome: 'rejected'; code: string }
  | { outcome: 'unspent'; code: string; retryAfterSeconds: number }
  /** An admin has blocked the app for this user (4738). */
  | { outcome: 'blocked' }
  /** Zoom may have taken it: whoever presents it again finds out, after an answer soon, else once no request can travel any more. */
  | { outcome: 'unknown'; code: 'zoom_unavailable' | 'zoom_timeout'; wasAnswered: boolean }

/** A grant as far as whoever imports into it may know it. */
export interface KnownGrant {
  grantId: string
  /** Null once the user's data was erased. */
  zoomUserId: string | null
  /** Its tokens are stored, and Zoom has not refused them. */
  isConnected: boolean
  /** When its pair was stored, by the database's clock, in Unix seconds. */
  storedAtSeconds: number
}

const KNOWN = `SELECT g.id AS "grantId", t.status = 'connected' AS "isConnected",
          CASE WHEN g.zoom_user_id NOT LIKE 'erased:%' THEN g.zoom_user_id END AS "zoomUserId",
          EXTRACT(EPOCH FROM t.refreshed_at)::float8 AS "storedAtSeconds"
     FROM grants g JOIN grant_tokens t ON t.grant_id = g.id`
const OF_GRANT = statement('redeem_of_grant', `${KNOWN} WHERE g.id = $1 AND t.status <> 'disconnected'`)
const OF_USER = statement('redeem_of_user', `${KNOWN} WHERE g.zoom_app_id = $1 AND g.zoom_user_id = $2`)

// as long as a refresh's, for the same reason: who hangs up early makes the outcome unknown
const REFRESH_TIMEOUT_MS = 8000
/** A pair whose owner nobody knows cannot be stored: Zoom is asked patiently, with a second more between two tries each time. */
const IDENTIFY_ATTEMPTS = 6
const NAMED = ['superseded', 'user_removed', 'scopes_changed']

/**
 * Spends a refresh token that another system held, once, and stores the pair that Zoom gives for it before anything may refuse
 * it. Whoever calls has claimed the token first, in a commit of its own.
 */
export function createRedeemer(deps: RedeemDeps) {
  const { sql, oauth, users, admit, remains, credentialsOf, breakers, log, monotonicNow } = deps
  const answers = createAnswers(deps)
  /** Until when Zoom wants no more requests of this app, on the monotonic clock. */
  const pausedUntilMs = new Map<string, number>()
  let underWay = 0

  /** @throws zoom_rate_limited, app_misconfigured, zoom_unavailable where nothing should be sent now */
  async function permit({ zoomAppId }: Presented): Promise<ZoomAppCredentials> {
    const pauseMs = (pausedUntilMs.get(zoomAppId) ?? 0) - monotonicNow()
    if (pauseMs > 0)
      throw new AppError('zoom_rate_limited', 'Zoom limits our requests.', {
        retryAfterSeconds: Math.ceil(pauseMs / 1000),
      })
    breakers.app.check(zoomAppId)
    const credentials = await credentialsOf(zoomAppId)
    if (!credentials || credentials.clientSecrets.length === 0) throw appMisconfigured()
    breakers.endpoint.check() // last: its probe is then really sent
    return credentials
  }

  /** Whose the pair is: from Zoom's own tokens, just received, or from /users/me. Null where Zoom does not say. */
  async function ownerOf(tokens: TokenSet) {
    const claimed = claimsOf(tokens.accessToken) ?? claimsOf(tokens.refreshToken)
    if (claimed) return claimed
    for (let attempt = 0; attempt < IDENTIFY_ATTEMPTS; attempt++) {
      await sleep(attempt * 1000)
      const me = await users.me(tokens.accessToken)
      if (me.outcome === 'known') return { zoomUserId: me.id, zoomAccountId: me.accountId }
      if (me.outcome === 'no_scope') return null
    }
    return null
  }

  async function store(presented: Presented, tokens: TokenSet, requestedAtMs: number): Promise<Redemption> {
    const { zoomAppId, claimId, onStored } = presented
    const owner = await ownerOf(tokens)
    if (!owner) {
      log.error({ claim_id: claimId }, 'Zoom does not say whose an imported grant is: it was revoked')
      const credentials = await credentialsOf(zoomAppId)
      if (credentials) await oauth.revoke({ ...credentials, accessToken: tokens.accessToken }) // nobody could ever use it
      return { outcome: 'rejected', code: 'connect_failed' }
    }
    const { zoomUserId, zoomAccountId } = owner
    const { grantId, consentEpoch } = await admit({ zoomAppId, zoomUserId, zoomAccountId, tokens, requestedAtMs })
    await untilStored(log, grantId, () => onStored({ grantId, consentEpoch }))
    log.info({ grant_id: grantId, claim_id: claimId }, 'a refresh token was imported')
    return { outcome: 'stored', grantId, consentEpoch }
  }

  function unknown({ claimId }: Presented, why: string): Redemption {
    const fields = { claim_id: claimId, why }
    if (why === 'no_usable_token_pair') log.error(fields, 'Zoom answered a refresh with a pair that cannot be used')
    else log.warn(fields, 'whether Zoom took an imported refresh token is unknown; the next import of it settles it')
    const code = why === 'timeout' ? 'zoom_timeout' : 'zoom_unavailable'
    return { outcome: 'unknown', code, wasAnswered: why === 'server_error' }
  }

  function limited({ zoomAppId }: Presented, seconds: number): Redemption {
    pausedUntilMs.set(zoomAppId, monotonicNow() + seconds * 1000)
    return { outcome: 'unspent', code: 'zoom_rate_limited', retryAfterSeconds: seconds }
  }

  async function settle(presented: Presented, result: RefreshOutcome, requestedAtMs: number): Promise<Redemption> {
    switch (result.outcome) {
      case 'rotated':
        return await store(presented, result.tokens, requestedAtMs)
      case 'rejected': {
        if (presented.isRecovery && result.bare) return { outcome: 'rejected', code: 'rotation_lost' }
        return { outcome: 'rejected', code: NAMED.includes(result.reason) ? result.reason : 'rejected_by_zoom' }
      }
      case 'app_fault':
        answers.noteAppFault(presented.zoomAppId)
        return { outcome: 'unspent', code: 'app_misconfigured', retryAfterSeconds: 2 }
      case 'blocked':
        return { outcome: 'blocked' }
      case 'rate_limited':
        return limited(presented, result.retryAfterSeconds)
      case 'refused':
        log.error(
          { claim_id: presented.claimId, status: result.status },
          'Zoom refused a refresh in a way we do not know',
        )
        return { outcome: 'unspent', code: 'zoom_unavailable', retryAfterSeconds: 5 }
      case 'not_sent':
        return { outcome: 'unspent', code: 'zoom_unavailable', retryAfterSeconds: 2 }
      case 'server_error':
        return unknown(presented, 'server_error')
      case 'ambiguous':
        return unknown(presented, result.why)
    }
  }

  async function present(presented: Presented): Promise<Redemption> {
    const { zoomAppId, refreshToken, claimId, sendBeforeMs } = presented
    const credentials = await permit(presented)
    for (const isLast of [false, true]) {
      const requestedAtMs = monotonicNow()
      if (requestedAtMs > sendBeforeMs) break // a process that slept may no longer hold the claim
      const result = await oauth.refresh({ ...credentials, refreshToken, timeoutMs: REFRESH_TIMEOUT_MS })
      if (result.outcome === 'not_sent' && !isLast) continue
      answers.note({ id: claimId, zoomAppId }, result.outcome)
      return await settle(presented, result, requestedAtMs)
    }
    return { outcome: 'unspent', code: 'busy', retryAfterSeconds: 1 }
  }

  return {
    /** Nobody's deadline ends it: a caller that waits no longer leaves it to finish. @throws store_unavailable before anything was sent */
    async redeem(presented: Presented): Promise<Redemption> {
      underWay += 1
      try {
        return await present(presented)
      } catch (error) {
        // what is thrown before Zoom was asked spent nothing; after that only writes are made, until they are stored
        if (!(error instanceof AppError) || error.code === 'store_unavailable') throw error
        return { outcome: 'unspent', code: error.code, retryAfterSeconds: error.retryAfterSeconds ?? 1 }
      } finally {
        underWay -= 1
      }
    },
    /** Null for one that is gone. @throws store_unavailable */
    async ofGrant(grantId: string): Promise<KnownGrant | null> {
      const [row] = await sql.rows<KnownGrant>(OF_GRANT, [grantId])
      return row ?? null
    },
    /** The grant of this Zoom user and app, whoever links it. @throws store_unavailable */
    async ofUser(zoomAppId: string, zoomUserId: string): Promise<KnownGrant | null> {
      const [row] = await sql.rows<KnownGrant>(OF_USER, [zoomAppId, zoomUserId])
      return row ?? null
    },
    /** Whether Zoom takes the access token as it is stored; `asleep` where none lives any more. Renews nothing. @throws store_unavailable */
    async prove(grantId: string): Promise<'proven' | 'asleep' | 'unproven'> {
      const accessToken = await remains(grantId)
      if (accessToken === null) return 'asleep'
      const me = await users.me(accessToken)
      return me.outcome === 'unavailable' ? 'unproven' : 'proven' // no scope for it: taken all the same
    },
    /** Resolves once no token is on its way and no pair waits to be stored. */
    async drain(): Promise<void> {
      while (underWay > 0) await sleep(20)
    },
  }
}
