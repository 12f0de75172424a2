import { createServer, type IncomingMessage } from 'node:http'
import type { AddressInfo } from 'node:net'
import { expect, onTestFinished, test } from 'vitest'
import { APP, connect, get, HOST, MEETING, simulator } from './client.ts'

const SECRET = `whsec_${Buffer.alloc(32, 7).toString('base64')}`

/** Stands where Latchkey would: answers each path as told, and keeps what came. */
async function callbacks(answers: Record<string, { status: number; body: string }>) {
  const calls: { path: string; headers: IncomingMessage['headers'] }[] = []
  const server = createServer((request, response) => {
    calls.push({ path: String(request.url), headers: request.headers })
    const { status, body } = answers[String(request.url)] ?? { status: 404, body: '' }
    response.writeHead(status).end(body)
  })
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  onTestFinished(() => void server.close())
  const url = `http://127.0.0.1:${(server.address() as AddressInfo).port}`
  return { url, calls }
}

type Sim = Awaited<ReturnType<typeof simulator>>

interface Answer {
  id: string
  status: string
  status_changes: { code: string }[]
}

async function ask(sim: Sim, method: string, path: string, body?: object, key = SECRET) {
  const init = { method, headers: { authorization: `Token ${key}` }, ...(body ? { body: JSON.stringify(body) } : {}) }
  const answer = await fetch(`${sim.url}${path}`, init)
  return { status: answer.status, body: (answer.status === 204 ? {} : await answer.json()) as Answer }
}

/** Sends a bot and waits until it has nothing more to say. */
async function sendBot(sim: Sim, zoom: object, last: string, key = SECRET) {
  const created = await ask(sim, 'POST', '/api/v1/bot/', { meeting_url: `https://zoom.us/j/${MEETING}`, zoom }, key)
  expect(created.status).toBe(201)
  const codes = async () =>
    (await ask(sim, 'GET', `/api/v1/bot/${created.body.id}/`)).body.status_changes.map(({ code }) => code)
  await expect.poll(codes).toContain(last)
  return { id: created.body.id, codes: await codes() }
}

async function tokensOf(sim: Sim) {
  const { access_token } = await connect(sim)
  const join = await get(
    sim,
    `/v2/meetings/${MEETING}/jointoken/local_recording?bypass_waiting_room=true`,
    access_token,
  )
  const obf = await get(sim, `/v2/users/me/token?type=onbehalf&meeting_id=${MEETING}`, access_token)
  const bodyOf = (reply: { body: unknown }) => String((reply.body as { token: string }).token)
  return { join: { status: 200, body: bodyOf(join) }, obf: { status: 200, body: bodyOf(obf) } }
}

test('a bot calls its URLs, signed, and joins past the waiting room with what they answer', async () => {
  const sim = await simulator()
  const { join, obf } = await tokensOf(sim)
  const { url, calls } = await callbacks({ '/join': join, '/obf': obf })
  const { id, codes } = await sendBot(
    sim,
    { join_token_url: `${url}/join`, obf_token_url: `${url}/obf` },
    'in_call_recording',
  )
  expect(codes).toEqual(['joining_call', 'in_call_recording'])
  expect(calls.map(({ path }) => path)).toEqual(['/join', '/obf'])
  for (const { headers } of calls) expect(headers['webhook-signature']).toMatch(/^v1,/)
  expect(new Set(calls.map(({ headers }) => headers['webhook-id'])).size).toBe(2)
  expect((await ask(sim, 'POST', `/api/v1/bot/${id}/leave_call/`, {})).status).toBe(200)
})

test('a bot without its join token waits, without its OBF token it fails; as a mode asks it calls again, under one id', async () => {
  const sim = await simulator({ modes: { recallRetries: 2, recallSharesIds: true } })
  const { obf } = await tokensOf(sim)
  const { url, calls } = await callbacks({ '/obf': obf })
  const zoom = { join_token_url: `${url}/none`, obf_token_url: `${url}/obf` }
  expect((await sendBot(sim, zoom, 'in_waiting_room')).codes).toEqual(['joining_call', 'in_waiting_room'])
  expect(calls.map(({ path }) => path)).toEqual(['/none', '/none', '/none', '/obf'])
  expect(new Set(calls.map(({ headers }) => headers['webhook-id'])).size).toBe(1)
  expect((await sendBot(sim, { obf_token_url: `${url}/none` }, 'fatal')).codes).toEqual(['joining_call', 'fatal'])
})

test('a workspace without a secret signs nothing, nor does one for a kind that a mode leaves out', async () => {
  const sim = await simulator({ modes: { recallSignedKinds: ['obf'] } })
  const { url, calls } = await callbacks({})
  await sendBot(sim, { join_token_url: `${url}/join` }, 'fatal')
  await sendBot(sim, { obf_token_url: `${url}/obf` }, 'fatal')
  await sendBot(sim, { obf_token_url: `${url}/obf` }, 'fatal', 'another-key')
  expect(calls.map(({ headers }) => 'webhook-signature' in headers)).toEqual([false, true, false])
})

test('a credential is made once its callback gives a token, and is refused otherwise', async () => {
  const sim = await simulator()
  const { url } = await callbacks({ '/access': { status: 200, body: 'token' } })
  const make = (path: string) => {
    const body = { oauth_app: APP.id, access_token_callback_url: `${url}${path}` }
    return ask(sim, 'POST', '/api/v2/zoom-oauth-credentials/', body)
  }
  const made = await make('/access')
  expect([made.status, made.body.status]).toEqual([201, 'healthy'])
  expect((await ask(sim, 'DELETE', `/api/v2/zoom-oauth-credentials/${made.body.id}/`)).status).toBe(204)
  expect((await make('/none')).status).toBe(400)
})

test('what it does not know is 404, what it cannot read 400, and nobody gets in without a key', async () => {
  const sim = await simulator()
  expect((await ask(sim, 'GET', '/api/v1/bot/nobody/')).status).toBe(404)
  expect((await ask(sim, 'POST', '/api/v1/bot/', { meeting_url: HOST })).status).toBe(400)
  expect((await fetch(`${sim.url}/api/v1/bot/`)).status).toBe(401)
})
