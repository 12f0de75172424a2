import type { GrantCipher } from '../../src/grants/cipher.ts'
import type { Sql } from '../../src/lib/sql.ts'

export interface GrantTruth {
  gen: string
  status: string
  reason: string | null
  /** An attempt whose outcome nobody knows yet. */
  isIntentOpen: boolean
  /** The stored refresh token is the one that Zoom would take now. */
  isLive: boolean
}

const READ = {
  name: 'chaos_read',
  text: `SELECT t.grant_id AS "grantId", t.status, t.status_reason AS reason, t.gen, t.refresh_ct AS "refreshCt",
                t.intent_gen IS NOT NULL AS "isIntentOpen", g.zoom_user_id AS "zoomUserId"
           FROM grant_tokens t JOIN grants g ON g.id = t.grant_id`,
}

/** What the database says of every grant, held against what Zoom would say. */
export async function truthOf(
  { sql, cipher }: { sql: Sql; cipher: GrantCipher },
  liveRefreshToken: (zoomUserId: string) => string | null,
): Promise<Map<string, GrantTruth>> {
  type Row = GrantTruth & { grantId: string; refreshCt: Uint8Array | null; zoomUserId: string }
  const truths = new Map<string, GrantTruth>()
  for (const { grantId, refreshCt, zoomUserId, ...row } of await sql.rows<Row>(READ, [])) {
    const stored = refreshCt ? await cipher.openRefreshToken(grantId, BigInt(row.gen), refreshCt) : null
    truths.set(zoomUserId, { ...row, isLive: stored !== null && stored === liveRefreshToken(zoomUserId) })
  }
  return truths
}

/**
 * The invariant of every run: a grant is connected with the token that Zoom takes; or it says `rotation_lost`; or its intent
 * is open. Anything else is a silent loss or a wrong label. `isRevoked`: Zoom ended it itself.
 */
export function faultOf(truth: GrantTruth, isRevoked = false): string | null {
  const { status, reason, isIntentOpen, isLive } = truth
  if (status === 'connected') return isLive || isIntentOpen ? null : 'silent loss: connected, dead, no open intent'
  if (isLive) return `false reconnect: ${reason} although Zoom takes the stored token`
  const isRight = reason === 'rotation_lost' || (isRevoked && reason === 'rejected_by_zoom')
  return isRight || status === 'disconnected' ? null : `wrong label: ${reason}`
}
