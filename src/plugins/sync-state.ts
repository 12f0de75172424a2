import { z } from 'zod'
import { isoTime } from './responses.ts'

/** How the lists of a host's meetings were last read; names of fields and forms of times as stored. Null: never asked for. */
export interface SyncState {
  status: 'queued' | 'running' | 'done' | 'failed'
  started_at: string | null
  finished_at: string | null
  meetings: number
  code: string | null
  /** Of a whole account. */
  users: number
  users_waiting: number
}

/** `SyncState` of a row of grant_syncs, in SQL. */
export const syncStateSql = (row: string) =>
  `jsonb_build_object('status', ${row}.status, 'started_at', ${row}.started_at, 'finished_at', ${row}.finished_at,
     'meetings', ${row}.meetings, 'code', ${row}.code, 'users', ${row}.users, 'users_waiting', ${row}.users_waiting)`

/**
 * The same for a row of `host_states` or `organization_states`, as a column `sync`. Nothing of what was read for others after the user's
 * consent here was withdrawn.
 */
export const linkedSyncSql = (view: string) =>
  `(SELECT ${syncStateSql('y')} FROM grant_syncs y
     WHERE y.grant_id = ${view}.grant_id AND (${view}.status <> 'reconnect_required' OR ${view}.grant_status <> 'connected')) AS sync`

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

/** `sync` of an organization. */
export const accountSyncState = syncState.extend({
  /** How many users the account has, and how many of them are still to be read. */
  users: z.int(),
  users_waiting: z.int(),
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

/** Fills `accountSyncState`. */
export const accountSyncStateOf = (sync: SyncState | null) => ({
  ...syncStateOf(sync),
  users: sync?.users ?? 0,
  users_waiting: sync?.users_waiting ?? 0,
})
