import type { TestApp } from './app.ts'
import { CLIENT_ID, newTenant, rows } from './connect.ts'
import { newKey, unique } from './management.ts'

const REDIRECT_URI = 'http://localhost:4000/zoom/oauth/callback'

/** A Zoom user who has connected to another system, which holds the refresh token. */
export interface Elsewhere {
  externalUserId: string
  email: string
  refreshToken: string
}

/** Another system exchanges a code of this user for its tokens: with the same Zoom app, as anyone who moves has. */
export async function authorizeElsewhere(t: TestApp, email: string): Promise<string> {
  const { code } = t.zoom.authorize({ client_id: CLIENT_ID, redirect_uri: REDIRECT_URI, user: email })
  const body = new URLSearchParams({ grant_type: 'authorization_code', code, redirect_uri: REDIRECT_URI })
  const authorization = `Basic ${Buffer.from(`${CLIENT_ID}:simulator-client-secret`).toString('base64')}`
  const answer = await fetch(`${t.zoom.oauthBaseUrl}/oauth/token`, { method: 'POST', body, headers: { authorization } })
  return String(((await answer.json()) as { refresh_token: string }).refresh_token)
}

/** A fresh Zoom user of another system. */
export async function newElsewhere(t: TestApp): Promise<Elsewhere> {
  const externalUserId = unique()
  const email = `${externalUserId}@example.com`
  t.zoom.addUser({ email })
  return { externalUserId, email, refreshToken: await authorizeElsewhere(t, email) }
}

export interface ImportedRow {
  external_user_id: string
  host_id?: string
  status: string
  code?: string
}

/** A tenant whose key may import, and calls by that key. */
export async function newImporter(t: TestApp) {
  const { id, headers } = await newTenant(t)
  const key = await newKey(t, id, ['hosts:import', 'hosts:read', 'hosts:write'])
  const post = (hosts: unknown) => t.api('POST', '/v1/hosts/import', { key, body: { hosts } })
  async function importAll(hosts: Elsewhere[]): Promise<ImportedRow[]> {
    const answer = await post(
      hosts.map(({ externalUserId, refreshToken }) => ({
        external_user_id: externalUserId,
        refresh_token: refreshToken,
      })),
    )
    if (answer.statusCode !== 200) throw new Error(answer.body)
    return answer.json().data
  }
  const hosts = async () => (await t.api('GET', '/v1/hosts', { key })).json().data as { id: string; status: string }[]
  return { id, headers, key, post, importAll, hosts }
}

/** How often a refresh token of this user was presented to Zoom. */
export const presented = (t: TestApp, { email }: Pick<Elsewhere, 'email'>) =>
  t.zoom.log({ grant_type: 'refresh_token', user_id: email }).length

/** Lets the time pass for which a claim keeps others from presenting a token. */
export const endClaims = (t: TestApp) => rows(t, 'UPDATE imported_tokens SET lease_until = clock_timestamp()')

/** What the rows of imports say, oldest first. */
export const importStates = (t: TestApp, tenantId: string) =>
  rows<{ state: string; code: string | null }>(
    t,
    'SELECT state, code FROM imported_tokens WHERE tenant_id = $1 ORDER BY claimed_at, id',
    [tenantId],
  )
