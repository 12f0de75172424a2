import { Prisma, type PrismaClient } from '../../generated/prisma/client.ts'
import { perTenant } from '../../plugins/with-tenant.ts'
import { filterConditions, HOST_COLUMNS, type Host, type HostFilter } from './store.ts'

/** A pass whose bot will ask a host's grant for a token. */
export interface NextPass {
  passId: string
  meetingId: string
  joinAt: Date
}

export interface RankedHost extends Host {
  nextPass: NextPass | null
  /** Where the row stands; goes into `list` as `after` for what follows it. */
  position: string
}

export interface NextPassStore {
  /** Hosts by their next pass, those without one last; among equals the newest first. `after` is a row's position, or null. */
  rank(tenantId: string, filter: HostFilter, limit: number, after: string | null): Promise<RankedHost[]>
  /** The next passes of one host, the first to come first. */
  ofHost(tenantId: string, hostId: string, limit: number): Promise<NextPass[]>
}

interface RankedRow extends Host {
  passId: string | null
  meetingId: string | null
  joinAt: Date | null
  /** Of `join_at`, in microseconds since 1970: what a Date would round away decides between two rows. */
  joinAtUs: string | null
  asOfUs: string
}

interface Position {
  asOfUs: string
  joinAtUs: string | null
  id: string
}

const positionOf = ({ asOfUs, joinAtUs, id }: Position) => [asOfUs, joinAtUs ?? '', id].join('.')
/** Only of what `positionOf` made: a cursor is authenticated. */
function parsePosition(text: string): Position {
  const [asOfUs = '', joinAtUs = '', id = ''] = text.split('.')
  return { asOfUs, joinAtUs: joinAtUs === '' ? null : joinAtUs, id }
}

/** A bot that was refused asks again for a while, and comes late itself. */
const GRACE = Prisma.sql`interval '15 minutes'`

// whom a mint for the pass p would ask (contract §5): the meeting's host, unless it is for OBF alone and names others …
const ASKS_MEETING_HOST = Prisma.sql`NOT (p.kinds = ARRAY['obf'] AND cardinality(p.on_behalf_of) > 0)`
// … and those whom it names
const ASKS_NAMED = Prisma.sql`'obf' = ANY (p.kinds)`

const livingAt = (asOf: Prisma.Sql) =>
  Prisma.sql`p.revoked_at IS NULL AND p.expires_at > ${asOf} AND p.join_at >= ${asOf} - ${GRACE}`

/** After the position, in the order of `rank`. */
function afterCondition(after: Position | null): Prisma.Sql {
  if (after === null) return Prisma.empty
  const { joinAtUs, id } = after
  if (joinAtUs === null) return Prisma.sql`AND join_at_us IS NULL AND id < ${id}::uuid`
  return Prisma.sql`
    AND (join_at_us IS NULL OR join_at_us > ${joinAtUs}::bigint OR (join_at_us = ${joinAtUs}::bigint AND id < ${id}::uuid))`
}

function toRanked({ passId, meetingId, joinAt, joinAtUs, asOfUs, ...host }: RankedRow): RankedHost {
  const nextPass = passId && meetingId && joinAt ? { passId, meetingId, joinAt } : null
  return { ...host, nextPass, position: positionOf({ asOfUs, joinAtUs, id: host.id }) }
}

/** Reads passes and meetings beside hosts: which host is needed next. */
export const createNextPassStore = (prisma: PrismaClient): NextPassStore => perTenant(prisma, tenantStore)

function tenantStore(db: Prisma.TransactionClient): NextPassStore {
  return {
    async rank(tenantId, filter, limit, after) {
      const position = after === null ? null : parsePosition(after)
      // every page as of the first one's time: a host whose pass begins while somebody pages keeps its place
      const asOf =
        position === null
          ? Prisma.sql`now()`
          : Prisma.sql`(timestamptz 'epoch' + ${position.asOfUs}::bigint * interval '1 microsecond')`
      const rows = await db.$queryRaw<RankedRow[]>`
        WITH due AS (
          SELECT DISTINCT ON (u.asked) u.asked, p.id AS pass_id, p.meeting_id, p.join_at,
                 (extract(epoch FROM p.join_at) * 1000000)::bigint AS join_at_us
            FROM passes p
            LEFT JOIN meetings m ON m.tenant_id = p.tenant_id AND m.meeting_id = p.meeting_id
           CROSS JOIN LATERAL (
             SELECT m.external_user_id AS asked WHERE m.external_user_id IS NOT NULL AND ${ASKS_MEETING_HOST}
             UNION ALL
             SELECT unnest(p.on_behalf_of) WHERE ${ASKS_NAMED}) u
           WHERE p.tenant_id = ${tenantId}::uuid AND ${livingAt(asOf)}
           ORDER BY u.asked, p.join_at, p.id)
        SELECT ${HOST_COLUMNS}, pass_id AS "passId", meeting_id AS "meetingId", join_at AS "joinAt",
               join_at_us::text AS "joinAtUs", (extract(epoch FROM ${asOf}) * 1000000)::bigint::text AS "asOfUs"
          FROM host_states LEFT JOIN due ON due.asked = host_states.external_user_id
         WHERE tenant_id = ${tenantId}::uuid ${Prisma.join([...filterConditions(filter), afterCondition(position)], ' ')}
         ORDER BY join_at_us NULLS LAST, id DESC LIMIT ${limit}`
      return rows.map(toRanked)
    },
    ofHost: (tenantId, hostId, limit) => db.$queryRaw<NextPass[]>`
      WITH host AS (
        SELECT external_user_id FROM hosts WHERE tenant_id = ${tenantId}::uuid AND id = ${hostId}::uuid)
      SELECT id AS "passId", meeting_id AS "meetingId", join_at AS "joinAt" FROM (
        SELECT p.id, p.meeting_id, p.join_at
          FROM host
          JOIN meetings m ON m.tenant_id = ${tenantId}::uuid AND m.external_user_id = host.external_user_id
          JOIN passes p ON p.tenant_id = ${tenantId}::uuid AND p.meeting_id = m.meeting_id
         WHERE ${livingAt(Prisma.sql`now()`)} AND ${ASKS_MEETING_HOST}
        UNION
        SELECT p.id, p.meeting_id, p.join_at
          FROM host JOIN passes p ON p.tenant_id = ${tenantId}::uuid AND p.on_behalf_of @> ARRAY[host.external_user_id]
         WHERE ${livingAt(Prisma.sql`now()`)} AND ${ASKS_NAMED}) asking
       ORDER BY join_at, id LIMIT ${limit}`,
  }
}
