import type { Simulator } from '../../simulator/server.ts'
import type { TestApp } from './app.ts'

export const HOST = 'host@example.com'
export const OTHER_HOST = 'other-host@example.com'
export const HOST_ID = 'KdYKjnimT4KPd8FFgQt9FQ'
export const CLIENT_ID = 'simulator-client-id'
export const RETURN_URL = 'https://app.example.com/zoom?user=1'

/** What the database holds, past every route. */
export async function rows<Row = Record<string, unknown>>(test: TestApp, text: string, values: unknown[] = []) {
  const result = await test.admin.query(text, values)
  return result.rows as Row[]
}

/** The Zoom user agrees; gives the code and the callback's path and query. */
export async function consent(test: TestApp, authorize: URL, user = HOST) {
  const query = Object.fromEntries(authorize.searchParams)
  const { code, location } = test.zoom.authorize({ ...query, user } as Parameters<Simulator['authorize']>[0])
  const back = new URL(location)
  return { code, callback: back.pathname + back.search }
}

/** A link opened and agreed to: all that is left is to come back. */
export async function readyToReturn(test: TestApp, session: Record<string, unknown> = {}, user = HOST) {
  const url = await test.connectLink({ external_user_id: 'user-1', ...session })
  const { authorize, cookie } = await test.open(url)
  const { code, callback } = await consent(test, authorize, user)
  const state = authorize.searchParams.get('state') ?? ''
  const comeBack = (path = callback, headers: Record<string, string> = { cookie }) =>
    test.app.inject({ url: path, headers })
  return { url, authorize, cookie, code, callback, state, comeBack }
}

/** Follows a link with a return URL to its end; gives the query that the return URL was told. */
export async function resultOf(test: TestApp, session: Record<string, unknown>, user = HOST) {
  const answer = await test.follow(
    await test.connectLink({ external_user_id: 'user-1', return_url: RETURN_URL, ...session }),
    user,
  )
  const { searchParams } = new URL(String(answer.headers.location))
  searchParams.delete('user')
  return Object.fromEntries(searchParams)
}

export const exchanges = ({ zoom }: TestApp) => zoom.log({ path: '/oauth/token', grant_type: 'authorization_code' })
export const revocations = ({ zoom }: TestApp) => zoom.log({ path: '/oauth/revoke' })

/** A tenant of its own, and the header by which the operator's key acts for it. */
export async function newTenant(test: TestApp, body: Record<string, unknown> = {}) {
  const { id } = (await test.api('POST', '/v1/tenants', { body: { name: 'Acme', ...body } })).json()
  return { id: String(id), headers: { 'latchkey-tenant': String(id) } }
}
