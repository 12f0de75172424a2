import { SEES_TENANTS } from '../default-tenant.ts'

/** Nobody links the grant of this id, and no import has brought it within a week that can be repeated to link it. */
export const isUnlinked = (grantId: string) =>
  `${SEES_TENANTS}
       AND NOT EXISTS (SELECT FROM hosts h WHERE h.grant_id = ${grantId})
       AND NOT EXISTS (SELECT FROM organizations o WHERE o.grant_id = ${grantId})
       AND NOT EXISTS (SELECT FROM imported_tokens i WHERE i.grant_id = ${grantId} AND i.state = 'redeemed'
                          AND i.redeemed_at > now() - interval '7 days')`
