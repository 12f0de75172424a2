import { Writable } from 'node:stream'
import type { LightMyRequestResponse } from 'fastify'
import { afterAll, afterEach } from 'vitest'
import type { FaultInput } from '../../simulator/fault-schema.ts'
import { signRecallRequest } from '../../simulator/recall.ts'
import { DEFAULT_MODES } from '../../simulator/seed.ts'
import { buildApp } from '../../src/app.ts'
import { changed, RECALL_SECRET, startTestApp, type TestApp } from './app.ts'
import { CLIENT_ID, rows } from './connect.ts'
import { unique } from './management.ts'

/** A connected Zoom user, a meeting of theirs and a pass for it. */
export interface VaultHost {
  externalUserId: string
  email: string
  meeting: string
  hostId: string
  grantId: string
  passId: string
  joinUrl: string
}

let meetings = 200_000_000

/** Connects a fresh Zoom user through the real flow, with a pass for a meeting of theirs. */
export async function newVaultHost(t: TestApp): Promise<VaultHost> {
  const externalUserId = unique()
  const email = `${externalUserId}@example.com`
  const meeting = String(++meetings)
  t.zoom.addUser({ email })
  t.zoom.addMeeting({ id: meeting, host: email })
  // before its host is connected: a pass warms the access token of one that is, in the background of the test
  const pass = await t.createPass({ meeting, host: { external_user_id: externalUserId } })
  const { id: hostId } = await t.connectHost(externalUserId, email)
  const [host] = await rows<{ grant_id: string }>(t, 'SELECT grant_id FROM hosts WHERE id = $1', [hostId])
  const grantId = String(host?.grant_id)
  return { externalUserId, email, meeting, hostId, grantId, passId: pass.id, joinUrl: pass.join_token_url }
}

/** The access token ends here, and at Zoom too unless the test is about who knows of it. */
export async function expireAccessToken(t: TestApp, { grantId, email }: VaultHost): Promise<void> {
  t.zoom.expireAccessTokens(email)
  await rows(t, 'UPDATE grant_tokens SET access_expires_at = now() WHERE grant_id = $1', [grantId])
}

/** Lets time pass for whoever waits for this grant's lease, or for the pause it stands for. */
export const endLease = (t: TestApp, { grantId }: VaultHost) =>
  rows(t, 'UPDATE grant_tokens SET lease_until = clock_timestamp() WHERE grant_id = $1', [grantId])

/** The grant's row as it matters to the vault. */
export async function grantRow(t: TestApp, { grantId }: VaultHost) {
  const [row] = await rows(
    t,
    `SELECT status, status_reason AS reason, gen::int AS gen, intent_gen IS NOT NULL AS "isIntentOpen",
            COALESCE(round(EXTRACT(EPOCH FROM lease_until - clock_timestamp())), 0)::int AS "leaseSeconds",
            (SELECT array_agg(COALESCE(outcome, 'open') ORDER BY lease_seq) FROM refresh_attempts a
              WHERE a.grant_id = t.grant_id) AS attempts
       FROM grant_tokens t WHERE grant_id = $1`,
    [grantId],
  )
  return row as {
    status: string
    reason: string | null
    gen: number
    isIntentOpen: boolean
    leaseSeconds: number
    attempts: string[] | null
  }
}

/** How often Zoom was asked to refresh this user's grant, whatever it answered. */
export const refreshCalls = (t: TestApp, { email }: VaultHost) =>
  t.zoom.log({ grant_type: 'refresh_token', user_id: email }).length

/** A fault of the token endpoint for one user's refreshes. */
export const refreshFault = (t: TestApp, { email }: VaultHost, action: FaultInput['action'], more: object = {}) =>
  t.zoom.setFault({ match: { grant_type: 'refresh_token', user_id: email }, action, ...more } as FaultInput)

/** A fault of the call that mints for one user. */
export const mintFault = (t: TestApp, { email }: VaultHost, action: FaultInput['action'], more: object = {}) =>
  t.zoom.setFault({ match: { path: '/v2/', user_id: email }, action, ...more } as FaultInput)

/** Whether what is stored is the pair Zoom would take now. */
export async function holdsLivingPair(t: TestApp, host: VaultHost): Promise<boolean> {
  const before = refreshCalls(t, host)
  await expireAccessToken(t, host)
  const answer = await t.bot(host.joinUrl)
  return answer.statusCode === 200 && refreshCalls(t, host) === before + 1
}

export const liveRefreshToken = (t: TestApp, { email }: VaultHost) => t.zoom.liveRefreshToken(email, CLIENT_ID)

/** Status and code of a bot's answer; 200 has no code. */
export const told = (answer: LightMyRequestResponse) =>
  answer.statusCode === 200 ? [200] : [answer.statusCode, answer.json().code]

/** Another replica on the same database, with a memory of its own; close its `app`. */
export async function secondReplica(t: TestApp, env: Record<string, string> = {}) {
  const log: string[] = []
  const logStream = new Writable({
    write(chunk, _encoding, done) {
      log.push(String(chunk))
      done()
    },
  })
  const built = await buildApp({ env: changed(t.settings, env), logStream })
  await built.prepare()
  async function bot(url: string, { id = `msg_${unique()}`, secrets = [RECALL_SECRET] } = {}) {
    const { pathname, search } = new URL(url, 'http://localhost')
    const headers = signRecallRequest({ secrets, id, timestamp: Math.floor(Date.now() / 1000) })
    return await built.app.inject({ url: pathname + search, headers })
  }
  return { ...built, log, bot }
}

export type Replica = Awaited<ReturnType<typeof secondReplica>>

/** The service for all tests of a file, told at its top; faults and modes of its Zoom end with each test. */
export async function vaultApp(): Promise<TestApp> {
  const t = await startTestApp()
  afterAll(() => t.stop())
  afterEach(() => {
    t.zoom.clearFaults()
    t.zoom.setModes(DEFAULT_MODES)
  })
  return t
}

/** The same, with another replica beside it. */
export async function twoReplicas(): Promise<{ t: TestApp; other: Replica }> {
  const t = await vaultApp()
  const other = await secondReplica(t)
  afterAll(() => other.app.close()) // before the database goes: hooks of a file run last first
  return { t, other }
}

/** So much is left of the access token here; at Zoom it stays as it is. */
export const leaveSeconds = (t: TestApp, { grantId }: VaultHost, seconds: number) =>
  rows(t, `UPDATE grant_tokens SET access_expires_at = now() + $2 * interval '1 s' WHERE grant_id = $1`, [
    grantId,
    seconds,
  ])

/** What the ledger says of this host's access tokens, newest first. */
export async function accessMintsOf(t: TestApp, { hostId }: VaultHost) {
  await t.services.ledger.flush()
  const mints: { host_id: string }[] = (await t.api('GET', '/v1/mints?kind=access&limit=200')).json().data
  return mints.filter(({ host_id }) => host_id === hostId)
}

/** What Zoom says to this access token: 200, or 401 once it is dead. */
export async function statusAtZoom(t: TestApp, accessToken: string): Promise<number> {
  const headers = { authorization: `Bearer ${accessToken}` }
  return (await fetch(`${t.zoom.apiBaseUrl}/users/me`, { headers })).status
}
