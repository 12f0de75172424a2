import { AppError } from '../../errors.ts'
import type { GrantVault } from '../../grants/vault.ts'
import { withDeadline } from '../../lib/deadline.ts'
import { createLru } from '../../lib/lru.ts'
import { createSemaphore, type Semaphore } from '../../lib/semaphore.ts'
import type { PassKind, TokenKind } from '../../zoom/scopes.ts'
import { createMissResolver, isMiss, type MissDeps } from './miss.ts'
import { type Lend, type OpenedToken, sourcesOf, type TokenSource } from './source.ts'

/** An authentic request with its ledger row open, and what its URL said. */
export interface TokenRequest {
  opened: OpenedToken & {
    mintId: string
    /** Whether the pass is for tokens of this kind. */
    isOfPass: boolean
    boundTo: string | null
    windowMints: number
    isUnsigned: boolean
  }
  /** `meeting_id` of the URL: only ever a cross-check. */
  claimedMeetingId: string | undefined
  /** What is left of the bot's patience. */
  remainingMs: () => number
  elapsedMs: () => number
}

/** What the ledger is told once it is known what came of a mint. */
export interface Settlement {
  id: string
  outcome: string
  reason: string | null
  zoomStatus: number | null
  zoomCode: number | null
  durationMs: number
  hostId: string | null
}

export interface TokenDeps extends MissDeps {
  vault: Pick<GrantVault, 'withAccessToken'>
  mintAtZoom: (request: {
    kind: TokenKind
    meetingId: string
    accessToken: string
    timeoutMs: number
  }) => Promise<string>
  lend: Lend
  settle: (kind: PassKind, settlement: Settlement) => void
}

export type TokenService = ReturnType<typeof createTokenService>

// Recall's own demand of an access token that it fetches
const ACCESS_LEAST_SECONDS = 120
const MINTS_PER_PASS_AND_HOUR = 5000
// one host that hangs at Zoom holds this many calls and no more; the others go on
const CALLS_PER_GRANT = 50
const CALLS_IN_ALL = 500
const QUEUED_CALLS = 2000

// what the ledger says of a token that went out without a signature: signature_mode observe let it through
const UNSIGNED = 'signature_missing'

/** What the ledger says of a mint that failed. */
export function refusedAs(error: unknown): Pick<Settlement, 'outcome' | 'reason' | 'zoomStatus' | 'zoomCode'> {
  const { code, reason, zoomStatus, zoomCode } =
    error instanceof AppError ? error : new AppError('internal_error', 'Something went wrong.')
  return { outcome: code, reason: reason ?? null, zoomStatus: zoomStatus ?? null, zoomCode: zoomCode ?? null }
}

const tooLate = () =>
  new AppError('zoom_timeout', 'Zoom did not answer in time; try again.', { reason: 'deadline', retryAfterSeconds: 1 })

const MOVE_ON = new Set(['reconnect_required', 'host_not_connected'])

/** The cross-checks that only an authentic request can fail. @throws pass_mismatch, rate_limited */
function checkPass({ opened, claimedMeetingId }: TokenRequest): void {
  const { kind, isOfPass, meetingId, passId, boundTo, windowMints } = opened
  const mismatch = (reason: string, text: string) => new AppError('pass_mismatch', text, { reason })
  if (boundTo !== null && boundTo !== (passId ? `pass:${passId}` : `meeting:${meetingId}`))
    throw mismatch('webhook_id_reused', 'This request id was first used with another pass.')
  if (!isOfPass) throw mismatch('kind', `This pass is not for ${kind} tokens.`)
  if (claimedMeetingId !== undefined && claimedMeetingId !== meetingId)
    throw mismatch('meeting_id', 'This pass is for another meeting.')
  if (windowMints > MINTS_PER_PASS_AND_HOUR)
    throw new AppError('rate_limited', 'This pass has minted its 5,000 tokens of the hour.', { retryAfterSeconds: 60 })
}

/** Answers a pass's URL with a token minted that instant; never cached, never shared. */
export function createTokenService(deps: TokenDeps) {
  const { vault, lend, mintAtZoom, settle, zoomTimeoutMs } = deps
  const resolveMiss = createMissResolver(deps)
  const all = createSemaphore(CALLS_IN_ALL, QUEUED_CALLS)
  const perGrant = createLru<string, Semaphore>(10_000)
  const callsOf = (grantId: string): Semaphore => {
    const known = perGrant.get(grantId)
    if (known) return known
    const calls = createSemaphore(CALLS_PER_GRANT, QUEUED_CALLS)
    perGrant.set(grantId, calls)
    return calls
  }

  async function lendFrom({ grantId }: TokenSource, deadlineMs: number): Promise<string> {
    const { accessToken } = await lend(grantId, { leastSeconds: ACCESS_LEAST_SECONDS, deadlineMs })
    return accessToken
  }

  async function mintFrom(source: TokenSource, { opened, remainingMs }: TokenRequest): Promise<string> {
    const { kind, meetingId } = opened
    if (kind === 'access') return await lendFrom(source, remainingMs())
    if (meetingId === null) throw new Error('only an access token is for no meeting')
    const seen = { gen: BigInt(source.gen), accessLifeSeconds: source.accessLifeSeconds ?? 0 }
    const call = (accessToken: string) =>
      all.run(() => {
        const timeoutMs = Math.min(zoomTimeoutMs, Math.max(1, remainingMs()))
        return mintAtZoom({ kind, meetingId, accessToken, timeoutMs })
      }, remainingMs())
    // the access token is borrowed by whose turn it is: one that was lent before the wait could be stale after it
    const borrow = () => vault.withAccessToken(source.grantId, call, { seen, deadlineMs: remainingMs() })
    return await callsOf(source.grantId).run(borrow, remainingMs())
  }

  async function mintFromFirst(request: TokenRequest): Promise<{ token: string; hostId: string | null }> {
    const sources = sourcesOf(request.opened)
    for (const [index, { source, isHost }] of sources.entries()) {
      try {
        return { token: await mintFrom(source, request), hostId: isHost ? source.id : null }
      } catch (error) {
        // the grant turned out dead just now: the next one in line may still open the door
        const canMoveOn = error instanceof AppError && MOVE_ON.has(error.code) && index < sources.length - 1
        if (!canMoveOn) throw error
      }
    }
    throw new AppError('host_not_connected', 'Nobody who can make this token is connected.')
  }

  return {
    /**
     * Mints the token of an opened request and settles its ledger row.
     * @throws the codes of the bot routes, see docs/errors.md
     */
    async mint(request: TokenRequest): Promise<string> {
      const { opened, elapsedMs, remainingMs } = request
      const unsigned = opened.isUnsigned ? UNSIGNED : null
      const base = { id: opened.mintId, zoomStatus: null, zoomCode: null, hostId: null as string | null }
      const resolveAndMint = async () => {
        if (!isMiss(opened)) return await mintFromFirst(request)
        const resolved = await resolveMiss(opened, remainingMs)
        base.hostId = resolved.host?.id ?? null // the row was opened without: a refusal of Zoom's is this host's
        return await mintFromFirst({ ...request, opened: resolved })
      }
      try {
        checkPass(request)
        // a token that comes later than the bot waits was not handed out, whatever Zoom thinks
        const { token, hostId } = await withDeadline(resolveAndMint(), remainingMs(), tooLate)
        settle(opened.kind, { ...base, outcome: 'minted', reason: unsigned, hostId, durationMs: elapsedMs() })
        return token
      } catch (error) {
        const refused = refusedAs(error)
        const reason = refused.reason ?? unsigned
        settle(opened.kind, { ...base, ...refused, reason, durationMs: elapsedMs() })
        throw error
      }
    },
  }
}
