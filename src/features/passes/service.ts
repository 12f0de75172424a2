import { AppError } from '../../errors.ts'
import type { GrantVault } from '../../grants/vault.ts'
import { type CursorCodec, toPage } from '../../lib/cursor.ts'
import { withDeadline } from '../../lib/deadline.ts'
import { randomSecret, sha256, uuidv7 } from '../../lib/ids.ts'
import { inParts } from '../../lib/in-parts.ts'
import { createSemaphore } from '../../lib/semaphore.ts'
import type { ZoomCloud } from '../../zoom/cloud.ts'
import type { PassKind } from '../../zoom/scopes.ts'
import { checkAccess, checkAccessChange } from './access.ts'
import { changedExpiryOf, expiryOf } from './expiry.ts'
import { type MeetingsOfPasses, meetingIdOf, type PersonalRooms } from './meeting.ts'
import type { HostStatus, Pass, PassStore, ResolvedPass } from './store.ts'
import { type PassWarning, type Person, warningsOf } from './warnings.ts'

export type HostReference = { hostId: string } | { externalUserId: string }

/** What a pass needs to know of a host. */
export interface PassHost {
  externalUserId: string
  grantId: string
  status: HostStatus
  scopes: string[]
}

export interface PassDeps {
  store: PassStore
  cursors: CursorCodec
  hosts: {
    byId: (tenantId: string, hostId: string) => Promise<PassHost | null>
    byExternalUserId: (tenantId: string, externalUserId: string) => Promise<PassHost | null>
  }
  meetings: MeetingsOfPasses
  personalRooms: PersonalRooms
  zoomCloud: ZoomCloud
  vault: Pick<GrantVault, 'warm' | 'freshen'>
  /** Below it a mint renews the access token that it is lent. */
  refreshMarginSeconds: number
  secretsServing: (tenantId: string) => Promise<{ secrets: unknown[] }>
  publicBaseUrl: string
  now: () => number
}

export interface NewPassInput {
  /** A number as people paste it, or a join link; none for kind `access`. */
  meeting: string | undefined
  host?: HostReference | undefined
  onBehalfOf: HostReference[]
  kinds: PassKind[]
  joinAt: Date | null
  expiresAt: Date | null
  metadata: Record<string, string>
}

export interface PassUpdate {
  meeting?: string | undefined
  joinAt?: Date | null | undefined
  expiresAt?: Date | undefined
}

export type CheckedPass = Pass & { warnings: PassWarning[] }
/** `urls` is in the answer to the creation and nowhere else. */
export type CreatedPass = CheckedPass & { urls: Partial<Record<PassKind, string>> }

export type PassService = ReturnType<typeof createPassService>

// few: bots come at the full hour, all at once, and Zoom's token endpoint is asked for what cannot wait too
const WARMED_AT_ONCE = 4
const PURGED_AT_ONCE = 2000
// as long as rounds are apart; whoever has not had a turn by then is found again by the next, perhaps another replica's
const WARMING_LIMIT_MS = 30_000

const KINDS: PassKind[] = ['join', 'obf', 'zak', 'access']
const notWarmed = () => new AppError('zoom_timeout', 'The access token was not renewed in time.')
const unknownPass = () => new AppError('not_found', 'No such pass.')

/** What a bot carries into one meeting. */
export function createPassService(deps: PassDeps) {
  const { store, cursors, hosts, meetings, vault, publicBaseUrl, now } = deps
  const warming = createSemaphore(WARMED_AT_ONCE, Number.POSITIVE_INFINITY)

  /** The tenant's own id of a named host; one that is not connected yet keeps the name it was given. */
  async function externalUserIdOf(tenantId: string, reference: HostReference): Promise<string> {
    if ('externalUserId' in reference) return reference.externalUserId
    const host = await hosts.byId(tenantId, reference.hostId)
    if (!host) throw new AppError('not_found', 'No such host.')
    return host.externalUserId
  }

  async function check(tenantId: string, pass: Pass): Promise<CheckedPass> {
    const person = async (externalUserId: string) => ({
      externalUserId,
      host: await hosts.byExternalUserId(tenantId, externalUserId),
    })
    const mapping = pass.meetingId === null ? null : await meetings.find(tenantId, pass.meetingId)
    const hostName = pass.externalUserId ?? mapping?.externalUserId
    const meetingHost = hostName ? await person(hostName) : null
    const onBehalfOf = await Promise.all(pass.onBehalfOf.map(({ externalUserId }) => person(externalUserId)))
    const { secrets } = await deps.secretsServing(tenantId)
    warm([...(meetingHost ? [meetingHost] : []), ...onBehalfOf])
    const warnings = warningsOf({
      kinds: pass.kinds,
      meetingHost,
      onBehalfOf,
      isOrganizationMeeting: mapping !== null && mapping.organizationId !== null,
      publicBaseUrl,
      hasRecallSecret: secrets.length > 0,
    })
    return { ...pass, warnings }
  }

  /** A bot is about to come: an access token near its end is better renewed now than under the bot's deadline. */
  function warm(people: (Person & { host: PassHost | null })[]): void {
    for (const { host } of people) if (host?.status === 'connected') vault.warm(host.grantId)
  }

  async function get(tenantId: string, passId: string): Promise<Pass> {
    const pass = await store.byId(tenantId, passId)
    if (!pass) throw unknownPass()
    return pass
  }

  return {
    get,
    /** Null for an unknown id, a revoked pass and another tenant's. */
    byId: (tenantId: string, id: string): Promise<Pass | null> => store.byId(tenantId, id),
    /** @throws not_found (a host id), invalid_request (meeting, times) */
    async create(tenantId: string, input: NewPassInput): Promise<CreatedPass> {
      checkAccess(input)
      const meetingId = input.meeting === undefined ? null : await meetingIdOf(deps, tenantId, input.meeting)
      const expiresAt = expiryOf(input.joinAt, input.expiresAt, now())
      const named = input.host && (await externalUserIdOf(tenantId, input.host))
      const onBehalfOf = await Promise.all(input.onBehalfOf.map((one) => externalUserIdOf(tenantId, one)))
      if (named !== undefined && meetingId !== null)
        await meetings.map(tenantId, meetingId, { externalUserId: named }, 'api')
      const id = uuidv7()
      const secret = randomSecret()
      const kinds = KINDS.filter((kind) => input.kinds.includes(kind))
      await store.create(tenantId, {
        id,
        secretHash: sha256(secret),
        meetingId,
        externalUserId: meetingId === null ? (named ?? null) : null,
        kinds,
        onBehalfOf: [...new Set(onBehalfOf)],
        joinAt: input.joinAt,
        expiresAt,
        metadata: input.metadata,
      })
      const urls = Object.fromEntries(kinds.map((kind) => [kind, `${publicBaseUrl}/zoom/${kind}-token?pass=${secret}`]))
      return { ...(await check(tenantId, await get(tenantId, id))), urls }
    },
    /** @throws invalid_request for a cursor of another list */
    async list(
      tenantId: string,
      filter: { meetingId?: string | undefined },
      limit: number,
      cursor: string | undefined,
    ) {
      const scope = { tenantId, list: 'passes', filter: { ...filter } }
      const rows = await store.list(tenantId, filter, limit + 1, cursors.decode(scope, cursor))
      return toPage(rows, limit, (position) => cursors.encode(scope, position))
    },
    /** The URLs stay as they are. @throws not_found, invalid_request */
    async update(tenantId: string, passId: string, change: PassUpdate): Promise<CheckedPass> {
      const pass = await get(tenantId, passId)
      checkAccessChange(pass, change)
      const updated = await store.update(tenantId, passId, {
        ...(change.meeting === undefined ? {} : { meetingId: await meetingIdOf(deps, tenantId, change.meeting) }),
        ...(change.joinAt === undefined ? {} : { joinAt: change.joinAt }),
        expiresAt: changedExpiryOf(pass.expiresAt, change, now()),
      })
      if (!updated) throw unknownPass()
      return await check(tenantId, await get(tenantId, passId))
    },
    /** From the next request on, in every replica. @throws not_found */
    async revoke(tenantId: string, passId: string): Promise<void> {
      if (!(await store.revoke(tenantId, passId))) throw unknownPass()
    },
    /** Deletes what is past its age. @throws store_unavailable */
    purgeAcrossTenants: (signal: AbortSignal): Promise<number> =>
      inParts(PURGED_AT_ONCE, signal, store.purgeAcrossTenants),
    /**
     * Renews, before bots come, what they would find near its end; of each grant once, whoever shares it. What Zoom refuses is
     * logged by the vault and harms nobody. @throws store_unavailable
     */
    async warmApproachingAcrossTenants(signal: AbortSignal): Promise<void> {
      const grants = await store.approachingAcrossTenants(deps.refreshMarginSeconds)
      const renewals = grants.map(({ grantId, leastSeconds }) =>
        warming.run(async () => {
          // a flight that waits for a write may take for ever; the others must not wait with it
          if (!signal.aborted) await withDeadline(vault.freshen(grantId, leastSeconds), WARMING_LIMIT_MS, notWarmed)
        }, WARMING_LIMIT_MS),
      )
      await Promise.allSettled(renewals)
    },
    /** Whose pass this is, also a revoked or expired one; null for an unknown secret. @throws store_unavailable */
    resolvePass: (secretHash: Buffer): Promise<ResolvedPass | null> => store.resolveSecret(secretHash),
  }
}
