/**
 * With a column `tenant_id`, whose rows go with the tenant: named here because statements are declared as modules load. A test compares
 * the list with the catalogue, so that no table is forgotten. The audit trail names tenants that are gone on purpose.
 */
export const TENANT_TABLES = [
  'api_keys',
  'connect_flows',
  'connect_sessions',
  'hosts',
  'imported_tokens',
  'meeting_deletions',
  'meetings',
  'mints',
  'organizations',
  'passes',
  'recall_secrets',
  'recall_workspaces',
  'webhook_deliveries',
  'webhook_endpoints',
  'webhook_events',
  'zoom_apps',
] as const
