import { randomBytes } from 'node:crypto'
import type { LightMyRequestResponse } from 'fastify'
import { uuidv7 } from '../../src/lib/ids.ts'
import { OPERATOR_KEY, type TestApp } from './app.ts'

export const HOST_SCOPES = ['meeting:read:local_recording_token', 'user:read:token', 'user:read:zak']

/** Status and code of an answer: all that a caller may build on when it fails. */
export const outcomeOf = (answer: LightMyRequestResponse) => [answer.statusCode, answer.json().code]

/** The body of a refusal without what differs between two requests anyway. */
export function refusalOf(answer: LightMyRequestResponse) {
  const { request_id: _, ...rest } = answer.json()
  return [answer.statusCode, rest]
}

export const unique = () => randomBytes(6).toString('hex')

/** A tenant with one key of all default scopes, or of those given, and calls by that key. */
export async function newTenantWithKey(t: TestApp, scopes?: string[]) {
  const { id } = (await t.api('POST', '/v1/tenants', { body: { name: 'Acme' } })).json()
  const key = await newKey(t, String(id), scopes)
  return { id: String(id), key, call: callerOf(t, key) }
}

export async function newKey(t: TestApp, tenantId: string, scopes?: string[]): Promise<string> {
  const body = { name: 'test', ...(scopes ? { scopes } : {}) }
  return String((await t.api('POST', `/v1/tenants/${tenantId}/api-keys`, { body })).json().key)
}

export interface SeededGrant {
  zoomUserId?: string
  zoomAccountId?: string | null
  email?: string | null
  scopes?: string[]
  status?: string
  statusReason?: string | null
  blockedReason?: string | null
  refreshedAt?: Date | null
}

/** A grant as the vault would keep it, without tokens: for what only reads its state. */
export async function seedGrant(t: TestApp, grant: SeededGrant = {}): Promise<string> {
  const { zoomUserId = unique(), zoomAccountId = 'account-1', email = null, scopes = HOST_SCOPES } = grant
  const { status = 'connected', statusReason = null, blockedReason = null, refreshedAt = new Date() } = grant
  const id = uuidv7()
  await t.admin.query(
    `INSERT INTO grants (id, zoom_app_id, zoom_user_id, zoom_account_id, email, scopes, blocked_reason)
     SELECT $1, id, $2, $3, $4, $5, $6 FROM zoom_apps WHERE managed_by = 'environment'`,
    [id, zoomUserId, zoomAccountId, email, scopes, blockedReason],
  )
  await t.admin.query(
    'INSERT INTO grant_tokens (grant_id, status, status_reason, gen, refreshed_at) VALUES ($1, $2, $3, 1, $4)',
    [id, status, statusReason, refreshedAt],
  )
  return id
}

/** A host of the tenant, linked past the connect flow. */
export async function seedHost(t: TestApp, tenantId: string, externalUserId: string, grant: SeededGrant = {}) {
  const grantId = await seedGrant(t, grant)
  const link = { externalUserId, grantId, consentEpoch: 0, onOtherZoomUser: 'refuse' } as const
  const { hostId } = await t.services.hosts.link(tenantId, link)
  return { id: hostId, grantId }
}

/** An organization of the tenant, linked past the connect flow. */
export async function seedOrganization(t: TestApp, tenantId: string, zoomAccountId: string, grant: SeededGrant = {}) {
  const grantId = await seedGrant(t, { zoomAccountId, ...grant })
  const link = { externalUserId: 'admin', grantId, consentEpoch: 0, zoomAccountId }
  const { organizationId } = await t.services.organizations.link(tenantId, link)
  return { id: organizationId, grantId }
}

/** Calls for a tenant by its key; `body` goes as JSON. */
export const callerOf =
  (t: TestApp, key = OPERATOR_KEY) =>
  (method: 'GET' | 'POST' | 'PUT' | 'PATCH' | 'DELETE', url: string, body?: unknown) =>
    t.api(method, url, { key, ...(body === undefined ? {} : { body }) })
