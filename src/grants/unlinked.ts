/**
 * Whether tenants can be seen at all. Row-level security does not refuse, it hides: with policies that do not know the functions' owner
 * (a database restored under another one, say) every tenant and link would look gone. What destroys because something is gone asks this
 * first. The tenant `default` always exists.
 */
export const SEES_TENANTS = `EXISTS (SELECT FROM tenants WHERE id = '00000000-0000-7000-8000-000000000001')`

/** Nobody links the grant of this id, and no import has brought it within a week that can be repeated to link it. */
export const isUnlinked = (grantId: string) =>
  `${SEES_TENANTS}
       AND NOT EXISTS (SELECT FROM hosts h WHERE h.grant_id = ${grantId})
       AND NOT EXISTS (SELECT FROM organizations o WHERE o.grant_id = ${grantId})
       AND NOT EXISTS (SELECT FROM imported_tokens i WHERE i.grant_id = ${grantId} AND i.state = 'redeemed'
                          AND i.redeemed_at > now() - interval '7 days')`
