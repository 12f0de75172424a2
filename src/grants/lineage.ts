import type { FastifyBaseLogger } from 'fastify'
import { createSingleFlight } from '../lib/single-flight.ts'
import { type Sql, statement } from '../lib/sql.ts'

// A restore of a dump makes new tables, a new database or a new cluster; a recovery or a fail-over begins a new timeline.
const OIDS = `(SELECT oid FROM pg_database WHERE datname = current_database()) || '/' || 'grant_tokens'::regclass::oid`
const QUESTIONS = {
  full: statement(
    'lineage_full',
    `SELECT (SELECT system_identifier FROM pg_control_system()) || '/' ||
            left(pg_walfile_name(pg_current_wal_lsn()), 8) || '/' || ${OIDS} AS identity`,
  ),
  plain: statement('lineage_plain', `SELECT ${OIDS} AS identity`),
}
const LATEST = `(SELECT identity FROM database_lineages WHERE kind = $1 ORDER BY number DESC LIMIT 1)`
const NOTE = statement(
  'lineage_note',
  `INSERT INTO database_lineages (number, kind, identity, is_change)
   SELECT COALESCE(max(number), 0) + 1, $1, $2, $3 OR COALESCE(bool_or(kind = $1), false) FROM database_lineages
   HAVING $3 OR $2 IS DISTINCT FROM ${LATEST}
   ON CONFLICT (number) DO NOTHING RETURNING is_change AS "isChange"`,
)
const COMPARE = statement('lineage_compare', `SELECT $2 <> ${LATEST} AS "isOther"`)
const IS_EARLIER = statement(
  'lineage_is_earlier',
  `SELECT EXISTS (SELECT FROM database_lineages l WHERE l.is_change AND l.first_seen_at > t.refreshed_at) AS "isEarlier"
     FROM grant_tokens t WHERE t.grant_id = $1`,
)

/** No right to ask, no such function, not supported: the same at every look. Any other error says nothing about the question. */
const CANNOT_ASK = ['42501', '42883', '0A000']

type Identity = { kind: keyof typeof QUESTIONS; identity: string }

export type Lineage = ReturnType<typeof createLineage>

/** Which database this is, so that one that was restored, failed over or moved is noticed also after a restart. */
export function createLineage({
  sql,
  log,
  onChange,
}: {
  sql: Sql
  log: FastifyBaseLogger
  /** This process has seen another database before. */
  onChange: () => void
}) {
  const looks = createSingleFlight<void>()
  let known: string | null = null
  let kind: Identity['kind'] = 'full'

  async function identify(): Promise<Identity> {
    try {
      const [row] = await sql.rows<{ identity: string }>(QUESTIONS[kind], [])
      return { kind, identity: row?.identity ?? '' }
    } catch (error) {
      if (kind === 'plain' || !CANNOT_ASK.includes(String((error as { code?: unknown }).code))) throw error
      kind = 'plain'
      return await identify()
    }
  }

  async function look(): Promise<void> {
    const { kind: asked, identity } = await identify()
    if (identity === known) return
    const [noted] = await sql.rows<{ isChange: boolean }>(NOTE, [asked, identity, false])
    if (noted?.isChange)
      log.error('the database is not the one it was: restored, failed over or moved; run latchkey grants doctor')
    const isChange = known !== null
    known = identity
    if (isChange) onChange()
  }
  /** Compares the database with the one of the last look, of this process and of any before it. @throws store_unavailable */
  const check = () => looks.run('look', look)

  return {
    check,
    /** Whether the grant's pair was stored before the database became another one: it may have been rotated since, unseen here. */
    async isEarlier(grantId: string): Promise<boolean> {
      await check() // or a verdict that comes before the next look would blame Zoom
      const [row] = await sql.rows<{ isEarlier: boolean }>(IS_EARLIER, [grantId])
      return row?.isEarlier ?? false
    },
    /** Whether it is another one than was last noted; notes nothing, so that the service itself raises the alarm. */
    async isUnnoted(): Promise<boolean> {
      const { kind: asked, identity } = await identify()
      const [row] = await sql.rows<{ isOther: boolean | null }>(COMPARE, [asked, identity])
      return row?.isOther ?? false
    },
    /** The operator says that it was restored, where nothing in the database itself tells (a disk put back as it was). */
    async noteRestore(): Promise<void> {
      const { kind: asked, identity } = await identify()
      await sql.rows(NOTE, [asked, identity, true])
    },
  }
}
