import { AppError } from '../../errors.ts'
import { sha256, uuidv7 } from '../../lib/ids.ts'
import { OPERATOR_ID, type SecretBox } from '../../secrets/box.ts'
import { type ParsedEvent, parseZoomEvent, type UserEvent } from '../../zoom/events.ts'
import type { MeetingEvent } from '../../zoom/meeting-events.ts'
import { encryptedToken, verifyZoomEvent } from '../../zoom/signature.ts'
import type { ClaimedEvent, InboxStore } from './inbox-store.ts'

/** The Zoom app that an event comes from, as far as events need it. */
export interface EventApp {
  id: string
  clientId: string
  kind: 'user' | 'account'
  tenantId: string | null
}

interface Ending {
  zoomAppId: string
  zoomUserId: string
  zoomAccountId: string | null
  at: Date
}

export interface ZoomEventDeps {
  store: InboxStore
  zoomApps: {
    /** `zoomAppId` null: the app of `/zoom/webhook`. Null where there is none, or it has no webhook secret. */
    webhookSecretsOf: (zoomAppId: string | null) => Promise<string[] | null>
    /** @throws not_found */
    webhookAppOf: (zoomAppId: string | null) => Promise<EventApp>
  }
  endings: {
    end: (ending: Ending, reason: 'deauthorized' | 'user_removed', ofAccount: boolean) => Promise<string>
    setActive: (ending: Ending, isActive: boolean) => Promise<string>
    movePmi: (zoomAppId: string, zoomUserId: string, former: string, pmi: string) => Promise<void>
  }
  /** Of accounts that admins connected as a whole. */
  account: {
    usersWantedAcrossTenants: (zoomAppId: string, zoomAccountId: string | null) => Promise<boolean>
    forgetUserAcrossTenants: (
      zoomAppId: string,
      zoomAccountId: string | null,
      zoomUserId: string,
      at: Date,
    ) => Promise<boolean>
  }
  /** How many of the event's numbers were news, and what became of the map. */
  applyToMeetings: (
    told: { zoomAppId: string } & Pick<MeetingEvent, 'zoomAccountId' | 'at' | 'words'>,
  ) => Promise<{ news: number; mapped: number; removed: number }>
  box: Pick<SecretBox, 'seal' | 'open'>
  isForeignDatabase: () => boolean
  log: Record<'info' | 'warn' | 'error', (fields: object, message: string) => void>
  now: () => number
  count: (event: string, outcome: string) => void
}

export interface ReceivedEvent {
  /** Of the path; null for the shared app. */
  zoomAppId: string | null
  rawHeaders: string[]
  body: Buffer
}

export type EventAnswer = { plainToken: string; encryptedToken: string } | null

export type ZoomEventService = ReturnType<typeof createZoomEventService>

const AT_ONCE = 50
const MOST_ATTEMPTS = 10
const RETRY_SECONDS = 60
const SILENCE_AGAIN_MS = 24 * 3600 * 1000

const notFound = () => new AppError('not_found', 'No Zoom app receives events here.')
const placeOf = (id: string, { tenantId }: Pick<EventApp, 'tenantId'>) => ({
  ownerId: tenantId ?? OPERATOR_ID,
  table: 'zoom_events',
  column: 'payload_ct',
  rowId: id,
  generation: 0,
})

/** What Zoom tells us: verified, kept, acknowledged, and done afterwards. */
export function createZoomEventService(deps: ZoomEventDeps) {
  const { store, zoomApps, endings, account, applyToMeetings, box, isForeignDatabase, log, now, count } = deps
  let working: Promise<void> | null = null
  let isMoreWaiting = false
  let isStopping = false
  let toldSilenceAtMs = Number.NEGATIVE_INFINITY

  async function apply(app: EventApp, { type, clientId, ...whose }: UserEvent): Promise<string> {
    if (clientId !== null && clientId !== app.clientId) return 'other_app'
    const { zoomUserId, zoomAccountId, at } = whose
    const ending = { zoomAppId: app.id, zoomUserId, zoomAccountId, at }
    if (type === 'app_deauthorized') return await endings.end(ending, 'deauthorized', app.kind === 'account')
    if (type === 'user.deactivated') return await endings.setActive(ending, false)
    if (type === 'user.activated') return await activate(app, ending)
    if (type === 'user.created') return await noteNewUser(app, ending)
    return await remove(app, ending)
  }

  /** Somebody to read the meetings of, where the whole account is connected. */
  async function noteNewUser(app: EventApp, { zoomAccountId }: Ending): Promise<string> {
    if (app.kind !== 'account') return 'ignored'
    return (await account.usersWantedAcrossTenants(app.id, zoomAccountId)) ? 'applied' : 'unknown_account'
  }

  async function activate(app: EventApp, ending: Ending): Promise<string> {
    const outcome = await endings.setActive(ending, true)
    if (outcome !== 'unknown_user') return outcome
    return (await noteNewUser(app, ending)) === 'applied' ? 'applied' : outcome
  }

  /** Where the user gave no grant, an account's admin may have shown us meetings of theirs. */
  async function remove(app: EventApp, ending: Ending): Promise<string> {
    const outcome = await endings.end(ending, 'user_removed', false)
    if (app.kind !== 'account') return outcome
    const { zoomAccountId, zoomUserId, at } = ending
    const wasKnown = await account.forgetUserAcrossTenants(app.id, zoomAccountId, zoomUserId, at)
    return outcome === 'unknown_user' && wasKnown ? 'applied' : outcome
  }

  async function applyMeeting(app: EventApp, { type, zoomAccountId, at, words }: MeetingEvent): Promise<string> {
    if (words.length === 0) return 'kept'
    const [former, now] = words
    if (type === 'user.updated' && former && now?.zoomUserId)
      await endings.movePmi(app.id, now.zoomUserId, former.meetingId, now.meetingId)
    const { news, mapped, removed } = await applyToMeetings({ zoomAppId: app.id, zoomAccountId, at, words })
    if (news === 0) return 'older'
    if (mapped > 0) return 'mapped'
    return removed > 0 ? 'removed' : 'unchanged'
  }

  async function outcomeOf(app: EventApp, parsed: ParsedEvent): Promise<string> {
    if (parsed.kind === 'user') return await apply(app, parsed.event)
    if (parsed.kind === 'meeting') return await applyMeeting(app, parsed.event)
    return 'ignored'
  }

  async function process(claimed: ClaimedEvent): Promise<void> {
    const app = await zoomApps.webhookAppOf(claimed.zoomAppId)
    const body = await box.open(placeOf(claimed.id, app), claimed.payloadCt)
    const parsed = parseZoomEvent(Buffer.from(body), claimed.receivedAt)
    const outcome = await outcomeOf(app, parsed)
    await store.done(claimed.id, outcome)
    const name = 'event' in parsed ? parsed.event.type : parsed.kind
    count(name, outcome)
    log.info({ zoom_app_id: app.id, event: name, outcome }, 'an event of Zoom’s was processed')
  }

  async function processSafely(claimed: ClaimedEvent): Promise<void> {
    try {
      await process(claimed)
    } catch (error) {
      const fields = { err: error, zoom_app_id: claimed.zoomAppId, attempts: claimed.attempts }
      const isDatabaseAway = error instanceof AppError && error.code === 'store_unavailable'
      if (claimed.attempts < MOST_ATTEMPTS || isDatabaseAway) {
        log.warn(fields, 'an event of Zoom’s was not processed; later again')
        return await store.later(claimed.id, RETRY_SECONDS).catch(() => {})
      }
      log.error(fields, 'an event of Zoom’s cannot be processed and is given up')
      count('any', 'failed')
      await store.failed(claimed.id).catch(() => {})
    }
  }

  async function processAll(): Promise<void> {
    do {
      isMoreWaiting = false
      const claimed = await store.claim(AT_ONCE)
      // of one user one after the other, in the order in which they came: they are few
      // what is left when the process stops is somebody else's once its claim has ended
      for (const event of claimed) if (!isStopping) await processSafely(event)
      isMoreWaiting ||= claimed.length === AT_ONCE
    } while (isMoreWaiting && !isStopping)
  }

  /** Does what waits in the inbox; one run at a time, and once more for what came in meanwhile. @throws store_unavailable */
  async function processAcrossTenants(): Promise<void> {
    if (isForeignDatabase() || isStopping) return
    isMoreWaiting = true
    working ??= processAll().finally(() => {
      working = null
    })
    await working
  }

  /** An event of Zoom's is authentic, or this throws. @throws unauthenticated by `refuse`, not_found */
  async function authenticate({ zoomAppId, rawHeaders, body }: ReceivedEvent, refuse: (reason: string) => Error) {
    const secrets = await zoomApps.webhookSecretsOf(zoomAppId)
    if (!secrets || secrets.length === 0) throw notFound()
    const verdict = verifyZoomEvent({ rawHeaders, body, secrets, nowMs: now() })
    if (!verdict.ok) {
      count('unverified', verdict.reason)
      throw refuse(verdict.reason)
    }
    return verdict.secret
  }

  function validate(secret: string, plainToken: string, zoomAppId: string | null): EventAnswer {
    zoomApps
      .webhookAppOf(zoomAppId)
      .then(({ id }) => store.noteValidation(id))
      .catch((error: unknown) => log.warn({ err: error }, 'a validation of the webhook endpoint was not noted'))
    return { plainToken, encryptedToken: encryptedToken(secret, plainToken) }
  }

  async function keep(received: ReceivedEvent, parsed: ParsedEvent): Promise<void> {
    const app = await zoomApps.webhookAppOf(received.zoomAppId)
    const id = uuidv7()
    const payloadCt = await box.seal(placeOf(id, app), received.body.toString('utf8'))
    const event = {
      id,
      zoomAppId: app.id,
      bodyHash: sha256(received.body),
      payloadCt,
      isUrgent: parsed.kind === 'user',
    }
    const kept = await store.keep(event)
    if (kept === 'full')
      throw new AppError('busy', 'Too many events are waiting; send it again.', { retryAfterSeconds: 60 })
    if (kept === 'known') return count(parsed.kind, 'duplicate')
    processAcrossTenants().catch((error: unknown) =>
      log.warn({ err: error }, 'events of Zoom’s wait for the next round'),
    )
  }

  return {
    /**
     * Takes an event. Null: kept, or nothing that this version acts on. `refuse` counts a failed authentication.
     * @throws not_found, busy, store_unavailable: whatever is ours to mend is a 5xx, which Zoom repeats
     */
    async receive(received: ReceivedEvent, refuse: (reason: string) => Error): Promise<EventAnswer> {
      const secret = await authenticate(received, refuse)
      const parsed = parseZoomEvent(received.body, new Date(now()))
      if (parsed.kind === 'url_validation') return validate(secret, parsed.plainToken, received.zoomAppId)
      if ('event' in parsed) await keep(received, parsed)
      else count(parsed.kind, 'ignored')
      return null
    },
    processAcrossTenants,
    /** Nothing new is begun, and the event in hand ends. */
    async stop(): Promise<void> {
      isStopping = true
      await working?.catch(() => {})
    },
    purgeAcrossTenants: () => store.purge(),
    /** Zoom validates every endpoint every 72 hours: where it has stopped, events have too. @throws store_unavailable */
    async findSilenceAcrossTenants(): Promise<void> {
      const silent = await store.silentApps()
      if (silent.length === 0 || now() - toldSilenceAtMs < SILENCE_AGAIN_MS) return
      toldSilenceAtMs = now()
      log.error({ zoom_app_ids: silent }, 'Zoom has not validated the webhook endpoint for four days')
    },
  }
}
