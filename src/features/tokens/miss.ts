import { AppError } from '../../errors.ts'
import type { TokenKind } from '../../zoom/scopes.ts'
import type { OpenedToken } from './source.ts'

/** Who opens a meeting's door, as the map says. */
export type Target = Pick<OpenedToken, 'isMapped' | 'host' | 'organization'>

export interface MissDeps {
  /** Asks Zoom whose meeting it is and maps it; gives `found`, or why not. */
  lookUp: (tenantId: string, meetingId: string, deadlineMs: number) => Promise<string>
  targetNow: (tenantId: string, kind: TokenKind, meetingId: string) => Promise<Target>
  zoomTimeoutMs: number
}

/** A token that needs the meeting's host, who is not known. OBF on behalf of somebody needs none. */
export function isMiss({ kind, isMapped, candidates }: OpenedToken): boolean {
  return !isMapped && kind !== 'access' && !(kind === 'obf' && candidates)
}

/**
 * The same opened request with whoever was found to open the door. The mint that follows keeps ZOOM_TIMEOUT_MS of the bot's patience.
 * @throws meeting_not_mapped with the reason for the ledger; store_unavailable
 */
export function createMissResolver({ lookUp, targetNow, zoomTimeoutMs }: MissDeps) {
  return async <Opened extends OpenedToken>(opened: Opened, remainingMs: () => number): Promise<Opened> => {
    const { tenantId, meetingId, kind } = opened
    if (kind === 'access' || meetingId === null) throw new Error('only an access token is for no meeting')
    const outcome = await lookUp(tenantId, meetingId, remainingMs() - zoomTimeoutMs)
    // read again and not taken from the answer: a mapping that the tenant made meanwhile stands over it
    const target = outcome === 'found' ? await targetNow(tenantId, kind, meetingId) : null
    if (target?.isMapped) return { ...opened, ...target }
    const reason = outcome === 'found' ? 'looked_up' : outcome // it was deleted while we asked
    throw new AppError('meeting_not_mapped', `No connected host is known for meeting ${meetingId}.`, { reason })
  }
}
