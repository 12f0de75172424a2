/** The tenant that always exists (contract §1); made by the first migration. */
export const DEFAULT_TENANT_ID = '00000000-0000-7000-8000-000000000001'

/**
 * Whether tenants can be seen at all, in SQL. Row-level security does not refuse, it hides: with policies that do not know the functions'
 * owner (a database restored under another one, say) every tenant and link would look gone. What destroys because something is gone asks
 * this first.
 */
export const SEES_TENANTS = `EXISTS (SELECT FROM tenants WHERE id = '${DEFAULT_TENANT_ID}')`
