import { setTimeout as sleep } from 'node:timers/promises'
import { isAccessTokenRefused, isMissingScope, mintFault } from '../../src/zoom/faults.ts'
import { createZoomHttp, type ZoomHttp, type ZoomReply } from '../../src/zoom/http.ts'
import { claimsOf } from '../../src/zoom/oauth.ts'
import type { FactId, Notebook } from './facts.ts'
import type { JsonClient } from './json-client.ts'
import type { Settings } from './settings.ts'

interface Lent {
  accessToken: string
  lifeSeconds: number
}

// the most that may be asked of a host's access token: what has less left is renewed
const MOST_SECONDS = 3000
const THROUGH_LATCHKEY: FactId[] = [
  'zoom_old_access_token_after_refresh',
  'zoom_access_token_life',
  'zoom_identity',
  'zoom_join_token',
  'zoom_non_host_code',
  'zoom_unknown_meeting_code',
  'zoom_obf_without_meeting',
  'zoom_obf_reuse',
  'zoom_grant_survives',
]

interface Visit {
  settings: Settings
  notebook: Notebook
  latchkey: JsonClient
  hostId: string
  zoom: Pick<ZoomHttp, 'send'>
}

const ask = ({ zoom }: Visit, path: string, accessToken: string): Promise<ZoomReply> =>
  zoom.send({ method: 'GET', path, headers: { authorization: `Bearer ${accessToken}` } })

/** Zoom's number for its refusal, where it gives one. */
function zoomCodeOf({ body }: ZoomReply): number | null {
  const code = typeof body === 'object' && body !== null && 'code' in body ? body.code : null
  return typeof code === 'number' ? code : null
}
const tokenOf = ({ body }: ZoomReply): string | null =>
  typeof body === 'object' && body !== null && 'token' in body && typeof body.token === 'string' ? body.token : null

async function lend({ latchkey, hostId }: Visit, leastSeconds: number): Promise<Lent> {
  const answer = await latchkey('POST', `/v1/hosts/${hostId}/access-token`, { min_ttl_seconds: leastSeconds })
  if (answer.status !== 200) throw new Error(`Latchkey lends no access token: ${answer.status} ${answer.body?.code}`)
  const lifeSeconds = (Date.parse(answer.body.expires_at) - Date.now()) / 1000
  return { accessToken: answer.body.access_token, lifeSeconds }
}

/** The only way to have Latchkey refresh: to ask for more than is left, once there is so little. */
async function oldAndNew(visit: Visit): Promise<Lent> {
  const { notebook, settings } = visit
  const old = await lend(visit, 1)
  const waitSeconds = old.lifeSeconds - MOST_SECONDS + 1
  if (waitSeconds > settings.VERIFY_WAIT_SECONDS) {
    const reason = 'the access token is too young to have it renewed; try again later, or raise VERIFY_WAIT_SECONDS'
    notebook.unseen(['zoom_old_access_token_after_refresh', 'zoom_access_token_life'], reason)
    return old
  }
  const wasAlive = !isAccessTokenRefused(await ask(visit, '/users/me', old.accessToken))
  if (waitSeconds > 0) await sleep(waitSeconds * 1000)
  const fresh = await lend(visit, MOST_SECONDS)
  if (fresh.accessToken === old.accessToken || !wasAlive) {
    const reason = wasAlive ? 'Latchkey did not renew the access token' : 'the access token was dead beforehand'
    notebook.unseen(['zoom_old_access_token_after_refresh'], reason)
    return fresh
  }
  const isAlive = !isAccessTokenRefused(await ask(visit, '/users/me', old.accessToken))
  notebook.pass('zoom_old_access_token_after_refresh', !isAlive, { old_token: isAlive ? 'lives on' : 'died at once' })
  notebook.pass('zoom_access_token_life', fresh.lifeSeconds > MOST_SECONDS, {
    life_seconds: Math.round(fresh.lifeSeconds),
  })
  return fresh
}

async function identity(visit: Visit, accessToken: string): Promise<void> {
  const { notebook } = visit
  const reply = await ask(visit, '/users/me', accessToken)
  const claims = claimsOf(accessToken)
  const seen = { users_me: reply.status, users_me_code: zoomCodeOf(reply), has_claims: claims !== null }
  if (isAccessTokenRefused(reply)) notebook.fail('zoom_identity', 'a fresh access token is refused', seen)
  else if (reply.status === 200 || (isMissingScope(reply) && claims))
    notebook.pass('zoom_identity', claims !== null, seen)
  else if (isMissingScope(reply)) notebook.fail('zoom_identity', 'nothing names the user', seen)
  else notebook.unseen(['zoom_identity'], `/users/me answered ${reply.status}`)
}

const joinPath = (meeting: string) => `/meetings/${meeting}/jointoken/local_recording?bypass_waiting_room=true`

async function joinToken(visit: Visit, accessToken: string, meeting: string): Promise<void> {
  const { notebook } = visit
  const reply = await ask(visit, joinPath(meeting), accessToken)
  const life = (reply.body as { expire_in?: unknown } | null)?.expire_in
  const seen = { status: reply.status, zoom_code: zoomCodeOf(reply), expire_in: typeof life === 'number' ? life : null }
  if (reply.status === 200 && tokenOf(reply) !== null) notebook.pass('zoom_join_token', life === 120, seen)
  else if (reply.status === 200) notebook.fail('zoom_join_token', 'an answer without a token', seen)
  else notebook.unseen(['zoom_join_token'], `Zoom answered ${reply.status}: ${toldAs(reply).latchkey_code}`)
}

/** What Latchkey would tell a bot of this refusal. */
const toldAs = (reply: ZoomReply) => ({
  latchkey_code: isAccessTokenRefused(reply) ? 'zoom_unavailable' : mintFault(reply, { kind: 'join' }).code,
})

async function refusal(visit: Visit, id: FactId, accessToken: string, meeting: string): Promise<void> {
  const { notebook } = visit
  const reply = await ask(visit, joinPath(meeting), accessToken)
  const seen = { status: reply.status, zoom_code: zoomCodeOf(reply) }
  if (reply.status === 200) notebook.fail(id, 'Zoom gave a token', seen)
  else if (reply.status >= 400 && reply.status < 500 && reply.status !== 429)
    notebook.pass(id, !isAccessTokenRefused(reply), { ...seen, ...toldAs(reply) })
  else notebook.unseen([id], `Zoom answered ${reply.status}`)
}

async function obfWithoutMeeting(visit: Visit, accessToken: string): Promise<void> {
  const { notebook } = visit
  const reply = await ask(visit, '/users/me/token?type=onbehalf', accessToken)
  const seen = { status: reply.status, zoom_code: zoomCodeOf(reply) }
  if (reply.status === 200 || zoomCodeOf(reply) === 300) notebook.pass('zoom_obf_without_meeting', true, seen)
  else notebook.unseen(['zoom_obf_without_meeting'], `Zoom answered ${reply.status}, code ${zoomCodeOf(reply)}`)
}

async function joinBySdk(url: string, meeting: string, token: string): Promise<boolean> {
  const body = JSON.stringify({ meeting_id: meeting, on_behalf_token: token })
  const headers = { 'content-type': 'application/json' }
  const answer = await fetch(url, { method: 'POST', headers, body, signal: AbortSignal.timeout(60_000) })
  return ((await answer.json()) as { joined?: unknown }).joined === true
}

async function obfReuse(visit: Visit, accessToken: string, meeting: string): Promise<void> {
  const { notebook, settings } = visit
  const url = settings.VERIFY_SDK_JOIN_URL
  if (!url) return notebook.unseen(['zoom_obf_reuse'], 'it takes two joins with one token: give VERIFY_SDK_JOIN_URL')
  const token = tokenOf(await ask(visit, `/users/me/token?type=onbehalf&meeting_id=${meeting}`, accessToken))
  if (token === null) return notebook.unseen(['zoom_obf_reuse'], 'Zoom gave no OBF token')
  const first = await joinBySdk(url, meeting, token)
  if (!first) return notebook.unseen(['zoom_obf_reuse'], 'the first join failed: is the user in the meeting?')
  const second = await joinBySdk(url, meeting, token)
  notebook.pass('zoom_obf_reuse', !second, { second_join: second ? 'let in' : 'refused' })
}

async function grantSurvives({ notebook, latchkey, hostId }: Visit): Promise<void> {
  const { status, body } = await latchkey('GET', `/v1/hosts/${hostId}`)
  if (status !== 200) return notebook.unseen(['zoom_grant_survives'], `Latchkey answered ${status}: scope hosts:read?`)
  const seen = { host_status: body.status, status_reason: body.status_reason }
  if (body.status === 'connected') notebook.pass('zoom_grant_survives', true, seen)
  else notebook.fail('zoom_grant_survives', 'the host has to connect again', seen)
}

async function look(visit: Visit): Promise<void> {
  const { settings, notebook } = visit
  const { VERIFY_MEETING: own, VERIFY_OTHERS_MEETING: others, VERIFY_UNKNOWN_MEETING: unknown } = settings
  const { accessToken } = await oldAndNew(visit)
  await identity(visit, accessToken)
  if (own) await joinToken(visit, accessToken, own)
  if (others) await refusal(visit, 'zoom_non_host_code', accessToken, others)
  if (unknown) await refusal(visit, 'zoom_unknown_meeting_code', accessToken, unknown)
  await obfWithoutMeeting(visit, accessToken)
  if (own) await obfReuse(visit, accessToken, own)
  await grantSurvives(visit)
  notebook.unseen(['zoom_join_token', 'zoom_obf_reuse'], 'give VERIFY_MEETING')
  notebook.unseen(['zoom_non_host_code'], 'give VERIFY_OTHERS_MEETING')
  notebook.unseen(['zoom_unknown_meeting_code'], 'give VERIFY_UNKNOWN_MEETING')
}

/** What a host's access token can show; it is borrowed from a running Latchkey, which goes on with the grant. */
export async function seeZoom(settings: Settings, notebook: Notebook, latchkey: JsonClient | null): Promise<void> {
  const { VERIFY_HOST_ID: hostId, ZOOM_API_BASE_URL: baseUrl } = settings
  if (!latchkey || !hostId)
    return notebook.unseen(THROUGH_LATCHKEY, 'give VERIFY_LATCHKEY_URL, VERIFY_LATCHKEY_KEY and VERIFY_HOST_ID')
  const zoom = createZoomHttp({ baseUrl, timeoutMs: 10_000 })
  try {
    await look({ settings, notebook, latchkey, hostId, zoom })
  } catch (error) {
    notebook.unseen(THROUGH_LATCHKEY, error instanceof Error ? error.message : 'it failed')
  } finally {
    await zoom.close()
  }
}
