/** Scopes of a tenant's API key. A route names the one it needs; see plugins/route-contract.ts. */
export const SCOPES = [
  'connect',
  'hosts:read',
  'hosts:write',
  'meetings:read',
  'meetings:write',
  'passes:write',
  'mints:read',
  'bots:write',
  'tokens:read',
  'hosts:import',
  'audit:read',
] as const

export type Scope = (typeof SCOPES)[number]
