import type { FastifyBaseLogger } from 'fastify'
import { AppError } from '../errors.ts'
import { type Sql, statement } from '../lib/sql.ts'

// A restore of a dump makes new tables, a new database or a new cluster; a recovery or a fail-over begins a new timeline.
const OIDS = `(SELECT oid FROM pg_database WHERE datname = current_database()) || '/' || 'grant_tokens'::regclass::oid`
const IDENTITY = statement(
  'lineage_identity',
  `SELECT (SELECT system_identifier FROM pg_control_system()) || '/' ||
          left(pg_walfile_name(pg_current_wal_lsn()), 8) || '/' || ${OIDS} AS identity`,
)
/** Where the role may not ask that, or the vendor's Postgres cannot answer it. */
const PLAIN_IDENTITY = statement('lineage_plain_identity', `SELECT ${OIDS} AS identity`)
const NOTE = statement(
  'lineage_note',
  `INSERT INTO database_lineages (number, identity)
   SELECT COALESCE(max(number), 0) + 1, $1 FROM database_lineages
   HAVING $1 IS DISTINCT FROM (SELECT identity FROM database_lineages ORDER BY number DESC LIMIT 1)
   ON CONFLICT (number) DO NOTHING RETURNING number`,
)
const IS_EARLIER = statement(
  'lineage_is_earlier',
  `SELECT EXISTS (SELECT FROM database_lineages l WHERE l.number > 1 AND l.first_seen_at > t.refreshed_at) AS "isEarlier"
     FROM grant_tokens t WHERE t.grant_id = $1`,
)

export type Lineage = ReturnType<typeof createLineage>

/** Which database this is, so that one that was restored, failed over or moved is noticed also after a restart. */
export function createLineage({
  sql,
  log,
  onChange,
}: {
  sql: Sql
  log: FastifyBaseLogger
  /** This process knew another database before. */
  onChange: () => Promise<void>
}) {
  let known: string | null = null
  let query = IDENTITY

  async function identify(): Promise<string> {
    try {
      const [row] = await sql.rows<{ identity: string }>(query, [])
      return row?.identity ?? ''
    } catch (error) {
      if (query !== IDENTITY || error instanceof AppError) throw error // store_unavailable: says nothing about the question
      query = PLAIN_IDENTITY
      return await identify()
    }
  }

  /** Compares the database with the one of the last look, of this process and of any before it. @throws store_unavailable */
  async function check(): Promise<void> {
    const identity = await identify()
    if (identity === known) return
    const [noted] = await sql.rows<{ number: number }>(NOTE, [identity])
    if (noted && noted.number > 1)
      log.error('the database is not the one it was: restored, failed over or moved; run latchkey grants doctor')
    const isChange = known !== null
    known = identity
    if (isChange) await onChange()
  }

  return {
    check,
    /** Whether the grant's pair was stored before the database became another one: it may have been rotated since, unseen here. */
    async isEarlier(grantId: string): Promise<boolean> {
      await check() // or a verdict that comes before the next look would blame Zoom
      const [row] = await sql.rows<{ isEarlier: boolean }>(IS_EARLIER, [grantId])
      return row?.isEarlier ?? false
    },
  }
}
