import { randomBytes } from 'node:crypto'
import type { FastifyInstance } from 'fastify'
import { OPERATOR_KEY, type TestApp } from './app.ts'
import { newTenant, rows } from './connect.ts'
import { unique } from './management.ts'
import { newVaultHost, type VaultHost } from './vault.ts'

export const newRecallSecret = () => `whsec_${randomBytes(32).toString('base64')}`

/** Operator's calls that must have succeeded. */
export async function operate(t: TestApp, method: 'POST' | 'PATCH' | 'DELETE', url: string, body?: unknown) {
  const answer = await t.api(method, url, { key: OPERATOR_KEY, ...(body === undefined ? {} : { body }) })
  if (answer.statusCode >= 300) throw new Error(`${method} ${url}: ${answer.body}`)
  return answer.statusCode === 204 ? {} : answer.json()
}

export interface GuardedTenant {
  id: string
  headers: Record<string, string>
  joinUrl: string
  obfUrl: string
  passId: string
}

/** A tenant with a host that can mint, and a pass for a meeting of theirs. */
export async function newGuardedTenant(t: TestApp, host?: VaultHost): Promise<GuardedTenant> {
  const { email, meeting } = host ?? (await newVaultHost(t))
  const tenant = await newTenant(t)
  const externalUserId = unique()
  const pass = await t.createPass({ meeting, host: { external_user_id: externalUserId } }, tenant.headers)
  await t.connectHost(externalUserId, email, tenant.headers)
  return { ...tenant, joinUrl: pass.join_token_url, obfUrl: pass.obf_token_url, passId: pass.id }
}

/** A Recall workspace of the tenant's own; gives its address in the API. */
export async function newWorkspace(t: TestApp, tenantId: string, secrets: string[], more: object = {}) {
  const list = `/v1/tenants/${tenantId}/recall-workspaces`
  const body = { region: 'us-east-1', verification_secrets: secrets, ...more }
  return `${list}/${(await operate(t, 'POST', list, body)).id}`
}

/** The request as anyone could send it: no signature unless one is given. */
export async function unsigned(app: FastifyInstance, url: string, headers: Record<string, string> = {}) {
  const { pathname, search } = new URL(url, 'http://localhost')
  return await app.inject({ url: pathname + search, headers })
}

/** What the ledger holds of a pass, oldest first. */
export async function ledgerOf(t: TestApp, passId: string) {
  await t.services.ledger.flush()
  const query = 'SELECT kind, outcome, reason FROM mints WHERE pass_id = $1 ORDER BY id'
  return await rows<{ kind: string; outcome: string | null; reason: string | null }>(t, query, [passId])
}
