/**
 * The one place that decides between two claims to a meeting (ADR 0020), at the end of every `INSERT INTO meetings`. What the
 * tenant itself said stands over what Zoom said (`event`, `lookup`), and that over `sync`; among equals the one observed later.
 * A change of owner or source keeps what it took the place of; the same word again only moves `observed_at`.
 * The replaced host is kept by our id: the tenant's own may be a Zoom user id, which would outlive that host here.
 */
export const DECIDE = `
  ON CONFLICT (tenant_id, meeting_id) DO UPDATE
     SET external_user_id = excluded.external_user_id, organization_id = excluded.organization_id,
         zoom_user_id = excluded.zoom_user_id, source = excluded.source, observed_at = excluded.observed_at,
         updated_at = CASE WHEN excluded.source <> 'api' AND ${isSameWord()} THEN meetings.updated_at ELSE now() END,
         replaced = CASE WHEN ${isSameWord()} THEN meetings.replaced ELSE jsonb_build_object(
           'source', meetings.source, 'organization_id', meetings.organization_id, 'observed_at', meetings.observed_at,
           'host_id', (SELECT h.id FROM hosts h
                        WHERE h.tenant_id = meetings.tenant_id AND h.external_user_id = meetings.external_user_id)) END
   WHERE excluded.source = 'api' OR (${rankOf('excluded')}, excluded.observed_at) >= (${rankOf('meetings')}, meetings.observed_at)`

function rankOf(row: string): string {
  return `CASE ${row}.source WHEN 'api' THEN 3 WHEN 'sync' THEN 1 ELSE 2 END`
}

function isSameWord(): string {
  return `(excluded.source, excluded.external_user_id, excluded.organization_id, excluded.zoom_user_id)
            IS NOT DISTINCT FROM (meetings.source, meetings.external_user_id, meetings.organization_id, meetings.zoom_user_id)`
}

interface Observation {
  tenantId: string
  meetingId: string
  observedAt: string
}

/** Whether the tenant itself has taken a mapping of the number away since `observedAt`. Expressions in SQL. */
export function isDeletedSince({ tenantId, meetingId, observedAt }: Observation): string {
  return `EXISTS (SELECT FROM meeting_deletions d
                   WHERE d.tenant_id = ${tenantId} AND d.meeting_id = ${meetingId} AND d.at >= ${observedAt})`
}

/**
 * Whether an event has told since `observedAt` that the meeting is gone, of an app that the tenant's host or one of its organizations is
 * connected with, or the tenant has said so: what was found before that is out of date, whichever way it was found.
 */
export function isGoneSince(of: Observation & { externalUserId: string }): string {
  return `(${isDeletedSince(of)} OR EXISTS (
    SELECT FROM meeting_event_marks w
     WHERE w.meeting_id = ${of.meetingId} AND w.said = 'gone' AND w.at >= ${of.observedAt}
       AND w.zoom_app_id IN (
         SELECT g.zoom_app_id FROM hosts h JOIN grants g ON g.id = h.grant_id
          WHERE h.tenant_id = ${of.tenantId} AND h.external_user_id = ${of.externalUserId}
         UNION ALL
         SELECT g.zoom_app_id FROM organizations o JOIN grants g ON g.id = o.grant_id WHERE o.tenant_id = ${of.tenantId})))`
}
