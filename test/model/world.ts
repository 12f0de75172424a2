import { randomUUID } from 'node:crypto'
import { vi } from 'vitest'
import { AppError } from '../../src/errors.ts'
import { createGrantCipher } from '../../src/grants/cipher.ts'
import type { GrantsOptions } from '../../src/grants/compose.ts'
import type { Consent } from '../../src/grants/vault.ts'
import type { LocalKeyring } from '../../src/lib/sealing.ts'
import type { Sql } from '../../src/lib/sql.ts'
import { createSecretBox } from '../../src/secrets/box.ts'
import { AccessTokenRefused } from '../../src/zoom/faults.ts'
import { createActivity } from './activity.ts'
import { createLedger, type Truth } from './ledger.ts'
import { createReplica, type Replica } from './replica.ts'
import { createTokenEndpoint } from './token-endpoint.ts'
import { createModelZoom, type ZoomModes } from './zoom.ts'

export interface User {
  name: string
  zoomUserId: string
  grantId: string
  isLetGo: boolean
}

/** A new authorisation whose pair has reached a replica, and is not stored yet. */
interface Arrival {
  user: User
  replica: Replica
  consent: Consent
}

interface Work {
  what: string
  user: User
  replica: Replica
  /** `ok` or the code of the error; null while it is under way. */
  result: string | null
}

export interface WorldOptions {
  sql: Sql
  keyring: LocalKeyring
  log: GrantsOptions['log']
  zoomAppId: string
  modes: ZoomModes
}

export type World = Awaited<ReturnType<typeof createWorld>>

const TENANT_ID = '00000000-0000-7000-8000-000000000001'
const QUERY_TIMEOUT_SECONDS = 5

const LINK = {
  name: 'model_link',
  text: `INSERT INTO hosts (id, tenant_id, external_user_id, grant_id, consent_epoch) VALUES ($1, $2, $3, $4, 0) ON CONFLICT DO NOTHING`,
}
const UNLINK = { name: 'model_unlink', text: 'DELETE FROM hosts WHERE grant_id = $1' }
/** Time that passes for the database: everything it has written down moves into the past. */
const AGE = {
  name: 'model_age',
  text: `WITH a AS (UPDATE refresh_attempts SET started_at = started_at - $1 * interval '1 s', ended_at = ended_at - $1 * interval '1 s'
                WHERE grant_id = ANY($2))
   UPDATE grant_tokens SET lease_until = lease_until - $1 * interval '1 s', refreshed_at = refreshed_at - $1 * interval '1 s',
          access_expires_at = access_expires_at - $1 * interval '1 s', intent_at = intent_at - $1 * interval '1 s'
    WHERE grant_id = ANY($2)`,
}
const EXPIRE = {
  name: 'model_expire',
  text: 'UPDATE grant_tokens SET access_expires_at = clock_timestamp() WHERE grant_id = $1',
}
const UNBLOCK = { name: 'model_unblock', text: 'UPDATE grants SET blocked_reason = NULL WHERE id = ANY($1)' }
const TRUTH = {
  name: 'model_truth',
  text: `SELECT status, status_reason AS reason, gen, lease_seq AS "leaseSeq", refresh_ct AS "refreshCt",
          intent_gen IS NOT NULL AS "isIntentOpen" FROM grant_tokens WHERE grant_id = $1`,
}

/** Answers that a caller may get; anything else is a defect, an unexpected error above all. */
const CODES = [
  'reconnect_required',
  'host_not_connected',
  'host_blocked',
  'app_misconfigured',
  'zoom_unavailable',
  'zoom_timeout',
  'zoom_rate_limited',
  'store_unavailable',
]

/** Two replicas over one real database, two Zoom users, and every message between them and Zoom in the hands of the commands. */
export async function createWorld({ sql, keyring, log, zoomAppId, modes }: WorldOptions) {
  const activity = createActivity()
  const zoom = createModelZoom(modes)
  const cipher = createGrantCipher(createSecretBox({ sql, removals: sql, keyring }))
  let passedMs = 0
  const nowMs = () => performance.now() + passedMs
  const ledger = createLedger(nowMs)
  const users: User[] = []
  const works: Work[] = []
  let arrivals: Arrival[] = []
  const grantIdOf = (zoomUserId: string) => String(users.find((user) => user.zoomUserId === zoomUserId)?.grantId)
  const endpoint = createTokenEndpoint({ zoom, ledger, nowMs, grantIdOf })
  const { waiting, holders } = endpoint
  const everyone: Replica[] = []
  function start(slot: string): Replica {
    const name = `${slot}${everyone.length + 1}`
    const replica = createReplica({
      name,
      sql,
      activity,
      keyring,
      log,
      nowMs,
      send: endpoint.send,
      observe: ledger.observe,
    })
    everyone.push(replica)
    return replica
  }
  const replicas = [start('A'), start('B')] as [Replica, Replica]

  /** Runs in the replica's own time; what its caller is told is checked, whenever that is. */
  function launch(what: string, user: User, replica: Replica, run: () => Promise<unknown>): Work {
    const work: Work = { what, user, replica, result: null }
    works.push(work)
    const done = (result: string) => {
      work.result = result
      ledger.count(`${what}: ${result}`)
    }
    run().then(
      () => done('ok'),
      (error: unknown) => {
        done(error instanceof AppError ? error.code : 'unexpected')
        if (!(error instanceof AppError) || !CODES.includes(error.code))
          ledger.violations.push(`${what} on ${replica.name} failed unexpectedly: ${error}`)
      },
    )
    return work
  }

  async function useToken(user: User, accessToken: string): Promise<void> {
    const { userId, isLive } = zoom.judgeAccess(accessToken)
    if (userId !== user.zoomUserId) ledger.violations.push(`${user.name} was given a token of somebody else`)
    if (!isLive) throw new AccessTokenRefused()
  }

  function authorize(user: User, replica: Replica): Arrival {
    const requestedAtMs = nowMs()
    const { zoomUserId } = user
    const consent = {
      zoomAppId,
      zoomUserId,
      zoomAccountId: 'account',
      tokens: zoom.authorize(zoomUserId),
      requestedAtMs,
    }
    holders.set(consent.tokens.refreshToken, replica)
    return { user, replica, consent }
  }

  async function admit({ user, replica, consent }: Arrival): Promise<void> {
    const { grantId } = await replica.vault.admit(consent)
    user.grantId = grantId
    await activity.during(() => sql.rows(LINK, [randomUUID(), TENANT_ID, user.name, grantId]))
  }

  for (const name of ['ann', 'bob']) {
    const user: User = { name, zoomUserId: zoom.addUser(`${name}@example.com`), grantId: '', isLetGo: false }
    users.push(user)
    await admit(authorize(user, replicas[0]))
  }

  return {
    zoom,
    ledger,
    users,
    replicas,
    /** Statements that hang, also those of the dead. */
    held: () => everyone.flatMap((replica) => replica.held),
    rest: activity.rest,
    endpoint,
    arrivals: () => arrivals.filter(({ replica }) => !replica.isDead),
    mint: (replica: Replica, user: User) =>
      launch('mint', user, replica, () =>
        replica.vault.withAccessToken(user.grantId, (token) => useToken(user, token)),
      ),
    warm: (replica: Replica, user: User) => replica.vault.warm(user.grantId),
    async expire(user: User): Promise<void> {
      zoom.expireAccessTokens(user.zoomUserId)
      await activity.during(() => sql.rows(EXPIRE, [user.grantId]))
    },
    authorize: (replica: Replica, user: User) => void arrivals.push(authorize(user, replica)),
    admit(arrival: Arrival): void {
      arrivals = arrivals.filter((other) => other !== arrival)
      launch('admit', arrival.user, arrival.replica, () => admit(arrival))
    },
    async disconnect(replica: Replica, user: User, revoke: boolean): Promise<void> {
      user.isLetGo = true
      await activity.during(() => sql.rows(UNLINK, [user.grantId]))
      launch('disconnect', user, replica, () => replica.vault.releaseIfUnlinked(user.grantId, { revoke }))
    },
    kill(index: 0 | 1): void {
      const replica = replicas[index]
      endpoint.abandon(replica)
      replica.kill()
      replicas[index] = start(index === 0 ? 'A' : 'B')
    },
    /** A stopped process wakes. What has arrived meanwhile is read before its own deadline is believed. */
    resume(replica: Replica): void {
      replica.resume()
      endpoint.catchUp(replica)
    },
    /** For every clock alike; whoever waits for an answer runs into its own deadline. */
    async passTime(seconds: number): Promise<void> {
      for (const replica of replicas.filter(({ isPaused }) => !isPaused)) {
        if (seconds >= QUERY_TIMEOUT_SECONDS) for (const held of [...replica.held]) held.giveUp()
        endpoint.timeOut(replica, nowMs() + seconds * 1000)
      }
      await activity.rest()
      passedMs += seconds * 1000
      zoom.passTime(seconds)
      await activity.during(() => sql.rows(AGE, [seconds, users.map(({ grantId }) => grantId)]))
      vi.advanceTimersByTime(seconds * 1000)
    },
    unblock: () => activity.during(() => sql.rows(UNBLOCK, [users.map(({ grantId }) => grantId)])),
    async truthOf(user: User): Promise<Truth> {
      type Row = Omit<Truth, 'gen' | 'leaseSeq' | 'fate'> & { gen: string; leaseSeq: string; refreshCt: Buffer | null }
      const [row] = await sql.rows<Row>(TRUTH, [user.grantId])
      if (!row) throw new Error('no such grant')
      const { refreshCt, ...rest } = row
      const gen = BigInt(row.gen)
      const token = refreshCt && (await cipher.openRefreshToken(user.grantId, gen, refreshCt))
      return { ...rest, gen, leaseSeq: BigInt(row.leaseSeq), fate: zoom.fateOf(token) }
    },
    /** Whether somebody still has something to do for this user. */
    isBusyFor(user: User): boolean {
      return (
        replicas.some(({ isPaused, held }) => isPaused || held.length > 0) ||
        replicas.some((replica) => waiting(replica).some(({ grantId }) => grantId === user.grantId)) ||
        works.some((work) => work.user === user && work.result === null && !work.replica.isDead) ||
        arrivals.some((arrival) => arrival.user === user && !arrival.replica.isDead)
      )
    },
    /** A replica that got the pair which Zoom takes now, and lives. */
    holderOf(user: User): Replica | undefined {
      const live = zoom.liveRefreshToken(user.zoomUserId)
      const holder = live === null ? undefined : holders.get(live)
      return holder?.isDead ? undefined : holder
    },
    unfinished: () => works.filter(({ result, replica }) => result === null && !replica.isDead),
    drain: (replica: Replica) => launch('drain', users[0] as User, replica, () => replica.vault.drain()),
    /** A process without a memory, for the last question. */
    newReplica: () => start('C'),
    /** Nothing of this run goes on into the next. */
    close(): void {
      for (const replica of everyone) replica.kill()
    },
  }
}
