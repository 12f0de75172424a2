import { createHash, randomBytes } from 'node:crypto'
import { request as httpRequest } from 'node:http'
import { onTestFinished } from 'vitest'
import { type Simulator, type SimulatorOptions, startSimulator } from '../../simulator/server.ts'

export const APP = { id: 'simulator-client-id', secret: 'simulator-client-secret' }
export const ACCOUNT_APP = { id: 'simulator-account-client-id', secret: 'simulator-account-client-secret' }
export const HOST = 'host@example.com'
export const OTHER = 'other-host@example.com'
export const MEETING = '85996249517'
export const OTHER_MEETING = '82345678901'
export const WEBINAR = '93398114182'
export const REDIRECT = 'http://localhost:3000/zoom/oauth/callback'

export interface Answer<T = Record<string, unknown>> {
  status: number
  headers: Headers
  text: string
  body: T
}

export interface Pair {
  access_token: string
  refresh_token: string
  expires_in: number
  scope: string
  token_type: string
  api_url: string
}

/** A simulator of the test's own, closed when the test ends. */
export async function simulator(options: SimulatorOptions = {}): Promise<Simulator> {
  const sim = await startSimulator(options)
  onTestFinished(() => sim.close())
  return sim
}

async function read<T>(response: Response): Promise<Answer<T>> {
  const text = await response.text()
  const isJson = response.headers.get('content-type')?.includes('json') ?? false
  const body = (isJson ? JSON.parse(text) : {}) as T
  return { status: response.status, headers: response.headers, text, body }
}

export async function post<T = Record<string, unknown>>(
  sim: Simulator,
  path: string,
  body: unknown,
): Promise<Answer<T>> {
  return read(
    await fetch(sim.url + path, { method: 'POST', body: typeof body === 'string' ? body : JSON.stringify(body) }),
  )
}

export async function get<T = Record<string, unknown>>(
  sim: Simulator,
  path: string,
  token?: string,
): Promise<Answer<T>> {
  const headers: Record<string, string> = token === undefined ? {} : { authorization: `Bearer ${token}` }
  return read(await fetch(sim.url + path, { headers, redirect: 'manual' }))
}

export const basic = (app = APP) => `Basic ${Buffer.from(`${app.id}:${app.secret}`).toString('base64')}`

/** POST of a form with Basic authentication, as the token and revoke endpoints want it. */
export async function form<T = Pair>(sim: Simulator, path: string, fields: Record<string, string>, app = APP) {
  const init = { method: 'POST', headers: { authorization: basic(app) }, body: new URLSearchParams(fields) }
  return read<T>(await fetch(sim.url + path, { ...init, redirect: 'manual' }))
}

export const refresh = <T = Pair>(sim: Simulator, refreshToken: string, app = APP) =>
  form<T>(sim, '/oauth/token', { grant_type: 'refresh_token', refresh_token: refreshToken }, app)

export const exchange = <T = Pair>(sim: Simulator, code: string, more: Record<string, string> = {}, app = APP) =>
  form<T>(sim, '/oauth/token', { grant_type: 'authorization_code', code, redirect_uri: REDIRECT, ...more }, app)

/** A user connects an app: the whole flow, with PKCE. */
export async function connect(sim: Simulator, user = HOST, app = APP): Promise<Pair> {
  const { verifier, challenge } = pkce()
  const { code } = sim.authorize({
    client_id: app.id,
    redirect_uri: REDIRECT,
    user,
    code_challenge: challenge,
    code_challenge_method: 'S256',
  })
  const { body } = await exchange(sim, code, { code_verifier: verifier }, app)
  return body
}

export function pkce() {
  const verifier = randomBytes(32).toString('base64url')
  return { verifier, challenge: createHash('sha256').update(verifier).digest('base64url') }
}

export const claimsOf = (token: string) =>
  JSON.parse(Buffer.from(token.split('.')[1] ?? '', 'base64url').toString('utf8')) as Record<string, unknown>

/** A GET at the level of bytes: what came before the connection ended, and how it ended. */
export function rawGet(sim: Simulator, path: string, token: string) {
  return new Promise<{ status: number | null; bytes: number; error: string | null; informational: number[] }>(
    (resolve) => {
      const informational: number[] = []
      let status: number | null = null
      let bytes = 0
      const ended = (error: string | null) => resolve({ status, bytes, error, informational })
      const outgoing = httpRequest(sim.url + path, { headers: { authorization: `Bearer ${token}` }, agent: false })
      outgoing.on('continue', () => informational.push(100))
      outgoing.on('information', (info) => informational.push(info.statusCode))
      outgoing.on('error', (error: Error & { code?: string }) => ended(error.code ?? error.name))
      outgoing.on('response', (response) => {
        status = response.statusCode ?? null
        response.on('data', (chunk: Buffer) => {
          bytes += chunk.length
        })
        response.on('end', () => ended(null))
        response.on('error', (error: Error & { code?: string }) => ended(error.code ?? error.name))
      })
      outgoing.end()
    },
  )
}
