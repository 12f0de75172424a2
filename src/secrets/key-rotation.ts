import { sleep } from '../lib/deadline.ts'
import { type KeyProvider, rewrapDataKey, type WrappedDataKey } from '../lib/sealing.ts'
import { type Sql, statement } from '../lib/sql.ts'
import { BEFORE_ALL, type BrokenKey, brokenOr } from './key-status.ts'

export interface RotationProgress {
  rewrapped: number
  /** How many were under another key at the start. */
  total: number
}

export interface RotationResult {
  rewrapped: number
  /** Of those: made under a former key while this ran, by a replica that still has it first. */
  madeMeanwhile: number
  /** Still under a former key. */
  left: number
  broken: BrokenKey[]
}

const START = statement('key_rotation_start', 'SELECT clock_timestamp()::text AS "startedAt"')
const LEFT = statement('key_rotation_left', 'SELECT count(*)::int AS count FROM data_keys WHERE kid <> $1')
const PAGE = statement(
  'key_rotation_page',
  `SELECT id, owner_id AS "ownerId", kid, wrapped FROM data_keys WHERE kid <> $1 AND id > $2 ORDER BY id LIMIT $3`,
)
/** By compare-and-set: a row that was wrapped anew or destroyed meanwhile stays as it is. Held rows are left for the next pass. */
const REWRAP = statement(
  'key_rotation_rewrap',
  `WITH held AS (
     SELECT d.id, n.wrapped
       FROM data_keys d
       JOIN unnest($2::uuid[], $3::text[], $4::bytea[], $5::bytea[]) AS n (id, kid, former, wrapped)
         ON d.id = n.id AND d.kid = n.kid AND d.wrapped = n.former
      ORDER BY d.id FOR UPDATE OF d SKIP LOCKED)
   UPDATE data_keys d SET kid = $1, wrapped = held.wrapped FROM held WHERE d.id = held.id
   RETURNING d.created_at > $6::timestamptz AS "isNew"`,
)

// one statement of some 10 ms and 100 kB: nobody waits for its locks, and a kill costs no more than this
const BATCH = 500
// a replica with a former key first makes new data keys under it; ten seconds show whether one does so all the time
const MAX_PASSES = 20
const PAUSE_MS = 500

interface Pass {
  rewrapped: number
  madeMeanwhile: number
  broken: BrokenKey[]
}

/**
 * Moves data keys from former keys of `ENCRYPTION_KEYS` to the first. What they seal is not touched, and processes that have a
 * data key in memory go on with it, so mints and refreshes do not notice. Every batch is a commit of its own: after a kill, or
 * beside a second run, the next one goes on with what is left.
 */
export function createKeyRotation({
  sql,
  keyring,
  pauseMs = PAUSE_MS,
}: {
  sql: Sql
  keyring: KeyProvider
  /** Between two looks at what is left. */
  pauseMs?: number
}) {
  const kid = keyring.currentKid

  async function rewrapBatch(batch: WrappedDataKey[], startedAt: string): Promise<Pass> {
    const broken: BrokenKey[] = []
    const changes: { former: WrappedDataKey; wrapped: Buffer }[] = []
    for (const former of batch)
      await rewrapDataKey(keyring, former).then(
        ({ wrapped }) => changes.push({ former, wrapped }),
        (error: unknown) => broken.push(brokenOr(former, error)),
      )
    const rows = await sql.rows<{ isNew: boolean }>(REWRAP, [
      kid,
      changes.map(({ former }) => former.id),
      changes.map(({ former }) => former.kid),
      changes.map(({ former }) => former.wrapped),
      changes.map(({ wrapped }) => wrapped),
      startedAt,
    ])
    return { rewrapped: rows.length, madeMeanwhile: rows.filter(({ isNew }) => isNew).length, broken }
  }

  async function pass(startedAt: string, note: (rewrapped: number) => void): Promise<Pass> {
    const sum: Pass = { rewrapped: 0, madeMeanwhile: 0, broken: [] }
    for (let after = BEFORE_ALL; ; ) {
      const batch = await sql.rows<WrappedDataKey>(PAGE, [kid, after, BATCH])
      const last = batch.at(-1)
      if (!last) return sum
      const done = await rewrapBatch(batch, startedAt)
      sum.rewrapped += done.rewrapped
      sum.madeMeanwhile += done.madeMeanwhile
      sum.broken.push(...done.broken)
      note(sum.rewrapped)
      after = last.id
    }
  }

  const left = async () => (await sql.rows<{ count: number }>(LEFT, [kid]))[0]?.count ?? 0

  return {
    /**
     * Repeats until nothing is left under a former key, for some ten seconds after the first pass. A data key that does not
     * open stays as it is and is named. @throws store_unavailable; what was moved until then stays moved
     */
    async rotate(onProgress: (progress: RotationProgress) => void): Promise<RotationResult> {
      const [{ startedAt } = { startedAt: 'now' }] = await sql.rows<{ startedAt: string }>(START, [])
      const total = await left()
      const result: RotationResult = { rewrapped: 0, madeMeanwhile: 0, left: total, broken: [] }
      for (let passes = 0; result.left > result.broken.length && passes < MAX_PASSES; passes++) {
        if (passes > 0) await sleep(pauseMs)
        const before = result.rewrapped
        const done = await pass(startedAt, (rewrapped) => onProgress({ rewrapped: before + rewrapped, total }))
        result.rewrapped += done.rewrapped
        result.madeMeanwhile += done.madeMeanwhile
        result.broken = done.broken
        result.left = await left()
      }
      return result
    },
  }
}
