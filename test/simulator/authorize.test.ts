import { expect, test } from 'vitest'
import type { Simulator } from '../../simulator/server.ts'
import { APP, exchange, get, HOST, pkce, REDIRECT, simulator } from './client.ts'

const request = (changes: Record<string, string | undefined> = {}) => {
  const fields = { response_type: 'code', client_id: APP.id, redirect_uri: REDIRECT, state: 'abc', ...changes }
  return new URLSearchParams(
    Object.entries(fields).filter((entry): entry is [string, string] => entry[1] !== undefined),
  )
}

const submit = (sim: Simulator, body: URLSearchParams) =>
  fetch(`${sim.url}/oauth/authorize`, { method: 'POST', body, redirect: 'manual' })

const location = (response: Response) => new URL(response.headers.get('location') ?? '')

test('the page offers each active user and a way to decline, in a form that needs no script', async () => {
  const sim = await simulator()
  const gone = sim.addUser({ email: 'gone@example.com', status: 'deactivated' })
  const page = await get(sim, `/oauth/authorize?${request({ state: '"><script>' })}`)
  expect(page.status).toBe(200)
  expect(page.text).toContain(`name="user_id" value="${sim.addUser({ email: HOST }).id}"`)
  expect(page.text).toContain('name="decline"')
  expect(page.text).not.toContain('<script')
  expect(page.text).not.toContain(gone.id)
})

test('allowing sends the browser back with a working code and the same state', async () => {
  const sim = await simulator()
  const { verifier, challenge } = pkce()
  const body = request({ code_challenge: challenge, code_challenge_method: 'S256' })
  body.set('user_id', sim.addUser({ email: HOST }).id)
  const response = await submit(sim, body)
  expect(response.status).toBe(302)
  expect(location(response).href.startsWith(`${REDIRECT}?`)).toBe(true)
  expect(location(response).searchParams.get('state')).toBe('abc')
  const code = location(response).searchParams.get('code') ?? ''
  expect((await exchange(sim, code, { code_verifier: verifier })).status).toBe(200)
})

test('declining sends access_denied and issues no code', async () => {
  const sim = await simulator()
  const body = request()
  body.set('decline', '1')
  const { searchParams } = location(await submit(sim, body))
  expect(Object.fromEntries(searchParams)).toEqual({ error: 'access_denied', state: 'abc' })
  expect(sim.issued).toEqual([])
})

test.each([
  ['an unknown client', { client_id: 'nobody' }, 4702],
  ['a redirect URI off the list', { redirect_uri: `${REDIRECT}/` }, 4709],
  ['a missing redirect URI', { redirect_uri: undefined }, 4709],
  ['another response type', { response_type: 'token' }, 4700],
  ['a missing response type', { response_type: undefined }, 4700],
  ['a scope', { scope: 'user:read:user' }, 4711],
  ['an unknown challenge method', { code_challenge: 'x'.repeat(43), code_challenge_method: 's256' }, 4700],
  ['a malformed challenge', { code_challenge: 'too short' }, 4700],
  ['a method without a challenge', { code_challenge_method: 'S256' }, 4700],
])('%s gets a page and never a redirect', async (_, changes, code) => {
  const sim = await simulator()
  sim.addApp({ client_id: APP.id, redirect_uris: [REDIRECT] })
  const page = await get(sim, `/oauth/authorize?${request(changes)}`)
  expect([page.status, page.headers.get('location')]).toEqual([400, null])
  expect(page.text).toContain(`(${code})`)
  const posted = request(changes)
  posted.set('user_id', HOST)
  expect((await submit(sim, posted)).status).toBe(400)
})

test('a browser that is signed in at Zoom goes straight through', async () => {
  const sim = await simulator({ modes: { signedInUser: HOST } })
  const answer = await get(sim, `/oauth/authorize?${request()}`)
  expect(answer.status).toBe(302)
  expect(new URL(answer.headers.get('location') ?? '').searchParams.has('code')).toBe(true)
})

test('the shortcut for tests keeps the page’s rules', async () => {
  const sim = await simulator()
  sim.addApp({ client_id: APP.id, redirect_uris: [REDIRECT] })
  const ask = (changes: object) => () =>
    sim.authorize({ client_id: APP.id, redirect_uri: REDIRECT, user: HOST, ...changes })
  expect(ask({ redirect_uri: 'http://elsewhere/' })).toThrow('4709')
  expect(ask({ client_id: 'nobody' })).toThrow('4702')
  expect(ask({ user: 'nobody@example.com' })).toThrow('known user')
  expect(new URL(ask({ state: 'x y' })().location).searchParams.get('state')).toBe('x y')
})
