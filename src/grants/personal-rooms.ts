import { type Sql, statement } from '../lib/sql.ts'
import type { PersonalLink } from '../zoom/meeting-id.ts'

/** A personal meeting room, and whose of the tenant's users it is. */
export interface PersonalRoom {
  meetingId: string
  externalUserId: string
  /** When Zoom told so: as the user last connected. */
  observedAt: Date
}

/**
 * Hosts of the tenant with this personal link. Two companies' own addresses are two links; one of them and the address that Zoom
 * gives to everybody may lead to the same room, so that one stands in where nobody has the company's own. Where a consent was withdrawn and given again through
 * another tenant only, this one knows nothing.
 */
const BY_LINK = statement(
  'grant_personal_rooms',
  `WITH rooms AS (
     SELECT g.pmi, g.personal_link_host AS host, g.connected_at, h.external_user_id, t.status, h.id
       FROM grants g
       JOIN grant_tokens t ON t.grant_id = g.id
       JOIN hosts h ON h.grant_id = g.id AND h.consent_epoch >= t.consent_epoch
      WHERE h.tenant_id = $1 AND g.personal_link_name = $3 AND g.pmi IS NOT NULL)
   SELECT pmi AS "meetingId", external_user_id AS "externalUserId", connected_at AS "observedAt" FROM rooms
    WHERE $2 = 'zoom.us' OR host = $2 OR (host = 'zoom.us' AND NOT EXISTS (SELECT FROM rooms WHERE host = $2))
    ORDER BY status = 'connected' DESC, id DESC LIMIT 10`,
)

/** Whose personal room a number is, of the tenant's users whose consent was given through it. */
const BY_NUMBER = statement(
  'grant_personal_room_owner',
  `SELECT h.external_user_id AS "externalUserId"
     FROM hosts h
     JOIN grants g ON g.id = h.grant_id
     JOIN grant_tokens t ON t.grant_id = g.id
    WHERE h.tenant_id = $1 AND h.consent_epoch >= t.consent_epoch AND g.pmi = $2
    ORDER BY t.status = 'connected' DESC, h.id DESC LIMIT 1`,
)

/** Where personal links lead, as far as connected users tell. */
export function createPersonalRooms(sql: Sql) {
  return {
    /** The likeliest first; more than one where the name is two users'. @throws store_unavailable */
    byLink: (tenantId: string, { host, name }: PersonalLink): Promise<PersonalRoom[]> =>
      sql.rows<PersonalRoom>(BY_LINK, [tenantId, host, name]),
    /** The external user id of its owner. @throws store_unavailable */
    async ownerOf(tenantId: string, meetingId: string): Promise<string | null> {
      const [row] = await sql.rows<{ externalUserId: string }>(BY_NUMBER, [tenantId, meetingId])
      return row?.externalUserId ?? null
    },
  }
}
