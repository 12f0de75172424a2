import { z } from 'zod'
import type { PassKind } from '../zoom/scopes.ts'
import { isoTime } from './responses.ts'

/** A line of the ledger of mints. */
interface MintLine {
  id: string
  kind: PassKind
  hostId: string | null
  passId: string | null
  outcome: string
  reason: string | null
  zoomStatus: number | null
  zoomCode: number | null
  durationMs: number | null
  requestId: string
  createdAt: Date
}

export const mintKind = z.enum(['join', 'obf', 'zak', 'access'])

/** A mint in an answer: the same in the ledger and in an explanation. */
export const mintLine = {
  id: z.uuid(),
  kind: mintKind,
  host_id: z.uuid().nullable(),
  pass_id: z.uuid().nullable(),
  /** `minted`, an error code, or `unknown` while the outcome is on its way or the process died before it was written. */
  outcome: z.string(),
  reason: z.string().nullable(),
  zoom_status: z.int().nullable(),
  zoom_code: z.int().nullable(),
  duration_ms: z.int().nullable(),
  request_id: z.string(),
  created_at: isoTime(),
}

/** Fills `mintLine`. */
export const mintLineOf = (mint: MintLine) => ({
  id: mint.id,
  kind: mint.kind,
  host_id: mint.hostId,
  pass_id: mint.passId,
  outcome: mint.outcome,
  reason: mint.reason,
  zoom_status: mint.zoomStatus,
  zoom_code: mint.zoomCode,
  duration_ms: mint.durationMs,
  request_id: mint.requestId,
  created_at: mint.createdAt.toISOString(),
})
