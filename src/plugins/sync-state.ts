import { z } from 'zod'
import { isoTime } from './responses.ts'

/** How the lists of a host's meetings were last read; names of fields and forms of times as stored. Null: never asked for. */
export interface SyncState {
  status: 'queued' | 'running' | 'done' | 'failed'
  started_at: string | null
  finished_at: string | null
  meetings: number
  code: string | null
}

/** `sync` of a host. */
export const syncState = z.object({
  status: z.enum(['never', 'queued', 'running', 'done', 'failed']),
  started_at: isoTime().nullable(),
  finished_at: isoTime().nullable(),
  /** How many meeting numbers it has found. */
  meetings: z.int(),
  /** Of docs/errors.md: why it failed, or what it did without. */
  code: z.string().nullable(),
})

const timeOf = (text: string | null) => text && new Date(text).toISOString()

/** Fills `syncState`. */
export const syncStateOf = (sync: SyncState | null) => ({
  status: sync?.status ?? ('never' as const),
  started_at: timeOf(sync?.started_at ?? null),
  finished_at: timeOf(sync?.finished_at ?? null),
  meetings: sync?.meetings ?? 0,
  code: sync?.code ?? null,
})
