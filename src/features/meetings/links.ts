/** A version 7 UUID, so that lists stay newest first: how many tenants link a host is known here alone. */
export const NEW_ID = `encode(set_bit(set_bit(overlay(uuid_send(gen_random_uuid()) PLACING
  substring(int8send((EXTRACT(EPOCH FROM clock_timestamp()) * 1000)::bigint) FROM 3) FROM 1 FOR 6), 52, 1), 53, 1), 'hex')::uuid`

/** A link counts that was made under the grant's present consent: another tenant learns nothing of a user who has left it. */
export const IS_OF_CONSENT = (link: string) =>
  `EXISTS (SELECT FROM grant_tokens k WHERE k.grant_id = ${link}.grant_id AND k.consent_epoch <= ${link}.consent_epoch)`

/** The tenant's own host of a Zoom user, by whichever app: `own.external_user_id`, null where there is none. For a LEFT JOIN. */
export const ownHost = (tenantId: string, zoomUserId: string) =>
  `LATERAL (
             SELECT h.external_user_id FROM hosts h JOIN grants u ON u.id = h.grant_id
              WHERE h.tenant_id = ${tenantId} AND u.zoom_user_id = ${zoomUserId} AND ${IS_OF_CONSENT('h')}
              ORDER BY h.id LIMIT 1) own ON true`
