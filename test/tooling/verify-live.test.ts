import { spawn } from 'node:child_process'
import { randomUUID } from 'node:crypto'
import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { createServer } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, afterEach, beforeAll, describe, expect, test } from 'vitest'
import type { ModesInput } from '../../simulator/schemas.ts'
import { DEFAULT_MODES } from '../../simulator/seed.ts'
import { OPERATOR_KEY, RECALL_SECRET, startTestApp, type TestApp } from '../helpers/app.ts'
import { CLIENT_ID } from '../helpers/connect.ts'
import { leaveSeconds, newVaultHost } from '../helpers/vault.ts'

const ROOT = join(import.meta.dirname, '..', '..')
const OTHERS_MEETING = '82345678901'

interface Fact {
  id: string
  verdict: 'PASS' | 'FAIL' | 'UNSEEN'
  as_assumed: boolean | null
  seen: Record<string, unknown> | null
  reason: string | null
}

let t: TestApp
let url: string

beforeAll(async () => {
  const port = await freePort()
  url = `http://127.0.0.1:${port}`
  t = await startTestApp({ env: { PUBLIC_BASE_URL: url } })
  await t.app.listen({ port, host: '127.0.0.1' })
})
afterAll(() => t.stop())
afterEach(() => void t.zoom.setModes(DEFAULT_MODES))

const freePort = () =>
  new Promise<number>((resolve) => {
    const probe = createServer()
    probe.listen(0, '127.0.0.1', () => {
      const address = probe.address()
      probe.close(() => resolve(typeof address === 'object' && address ? address.port : 0))
    })
  })

/** Runs it as an operator does, with nothing of this machine's environment. */
async function run(env: Record<string, string>, args = ['--yes']) {
  const child = spawn(process.execPath, ['scripts/verify-live.ts', ...args], {
    cwd: ROOT,
    env: { ZOOM_API_BASE_URL: t.zoom.apiBaseUrl, ZOOM_OAUTH_BASE_URL: t.zoom.oauthBaseUrl, ...env },
    stdio: ['ignore', 'pipe', 'pipe'],
  })
  const written = { out: '', err: '' }
  child.stdout.on('data', (chunk) => (written.out += String(chunk)))
  child.stderr.on('data', (chunk) => (written.err += String(chunk)))
  const status = await new Promise<number | null>((resolve) => child.once('close', resolve))
  return { ...written, status }
}

async function verify(env: Record<string, string>) {
  const { out, err, status } = await run(env)
  expect(err).toBe('')
  const report = JSON.parse(out) as { counts: Record<string, number>; facts: Fact[] }
  const fact = (id: string) => {
    const { verdict, as_assumed, seen, reason } = report.facts.find((one) => one.id === id) ?? ({} as Fact)
    return { verdict, as_assumed, seen, reason }
  }
  return { ...report, out, status, fact }
}

/** A host with a meeting, whose access token is old enough to be renewed on demand. */
async function newSettings() {
  const host = await newVaultHost(t)
  await leaveSeconds(t, host, 2999)
  return {
    VERIFY_LATCHKEY_URL: url,
    VERIFY_LATCHKEY_KEY: OPERATOR_KEY,
    VERIFY_HOST_ID: host.hostId,
    VERIFY_MEETING: host.meeting,
    VERIFY_OTHERS_MEETING: OTHERS_MEETING,
    VERIFY_UNKNOWN_MEETING: '987654321',
    VERIFY_SDK_JOIN_URL: `${t.zoom.url}/_sim/join`,
  }
}

const withRecall = (settings: Record<string, string>) => ({
  ...settings,
  VERIFY_RECALL_API_KEY: RECALL_SECRET,
  VERIFY_RECALL_BASE_URL: t.zoom.url,
  VERIFY_MEETING_URL: `https://zoom.us/j/${settings.VERIFY_MEETING}`,
  VERIFY_RECALL_OAUTH_APP: randomUUID(),
  VERIFY_BOT_SECONDS: '2',
  VERIFY_DATABASE_URL: t.database.ownerUrl,
})

async function refreshToken() {
  const { email } = await newVaultHost(t)
  return {
    VERIFY_REFRESH_TOKEN: String(t.zoom.liveRefreshToken(email, CLIENT_ID)),
    VERIFY_ZOOM_CLIENT_ID: CLIENT_ID,
    VERIFY_ZOOM_CLIENT_SECRET: 'simulator-client-secret',
  }
}

test('does nothing without --yes but warn that a grant may end', async () => {
  const before = t.zoom.log().length
  const { status, out, err } = await run(await newSettings(), [])
  expect([status, out]).toEqual([2, ''])
  expect(err).toContain('grant may end')
  expect((await run({}, ['--yes', '--key=secret'])).status).toBe(2)
  expect(
    t.zoom
      .log()
      .slice(before)
      .filter(({ path }) => path.includes('jointoken')),
  ).toEqual([])
})

test('names every wrong setting at once and prints no value', async () => {
  const { status, err } = await run({ VERIFY_MEETING: 'no-number-1', VERIFY_HOST_ID: 'no-id-1' })
  expect(status).toBe(2)
  expect(err).toMatch(/VERIFY_HOST_ID[\s\S]*VERIFY_MEETING/)
  expect(err).not.toMatch(/no-number-1|no-id-1/)
})

test('with nothing given every fact is UNSEEN, each with what it takes', async () => {
  const { status, counts, facts } = await verify({})
  expect([status, counts]).toEqual([0, { PASS: 0, FAIL: 0, UNSEEN: facts.length }])
  for (const { reason } of facts) expect(reason).toMatch(/^give VERIFY_/)
})

test('with all that it takes it sees every fact, and not one secret or token is in the report', async () => {
  const settings = { ...withRecall(await newSettings()), ...(await refreshToken()) }
  const folder = await mkdtemp(join(tmpdir(), 'verify-live-'))
  const file = join(folder, 'key')
  await writeFile(file, `${OPERATOR_KEY}\n`)
  const { status, out, facts } = await verify({ ...settings, VERIFY_LATCHKEY_KEY: '', VERIFY_LATCHKEY_KEY_FILE: file })
  await rm(folder, { recursive: true })
  const notSeen = facts.filter(({ verdict }) => verdict !== 'PASS')
  expect(notSeen).toEqual([])
  expect(facts.filter((fact) => !fact.as_assumed)).toEqual([])
  expect(status).toBe(0)
  const { ownerUrl } = t.database
  const secrets = [...t.zoom.issued.map(({ value }) => value), OPERATOR_KEY, RECALL_SECRET, 'pass=', ownerUrl]
  for (const secret of secrets) expect(out.includes(secret)).toBe(false)
  expect(out).not.toContain('simulator-client-secret')
})

test('a token too young to be renewed is not waited for past VERIFY_WAIT_SECONDS', async () => {
  const settings = await newSettings()
  const host = await newVaultHost(t)
  const { fact } = await verify({ ...settings, VERIFY_HOST_ID: host.hostId, VERIFY_WAIT_SECONDS: '1' })
  expect(fact('zoom_old_access_token_after_refresh')).toMatchObject({ verdict: 'UNSEEN', seen: null })
  expect(fact('zoom_identity').verdict).toBe('PASS')
})

describe('each reading of Zoom’s is told as it is', () => {
  const readings: [string, ModesInput, string, { as_assumed: boolean; seen: object }][] = [
    [
      'the old access token lives on',
      { refreshKillsAccessToken: false },
      'zoom_old_access_token_after_refresh',
      { as_assumed: false, seen: { old_token: 'lives on' } },
    ],
    [
      'an OBF token is good twice',
      { obfSingleUse: false },
      'zoom_obf_reuse',
      { as_assumed: false, seen: { second_join: 'let in' } },
    ],
    [
      'an OBF token needs a meeting',
      { obfRequiresMeetingId: true },
      'zoom_obf_without_meeting',
      { as_assumed: true, seen: { zoom_code: 300 } },
    ],
    [
      'access tokens tell nothing',
      { opaqueAccessTokens: true },
      'zoom_identity',
      { as_assumed: false, seen: { has_claims: false } },
    ],
    [
      'an unknown number is 300',
      { unknownMeetingCode: 300 },
      'zoom_unknown_meeting_code',
      { as_assumed: true, seen: { zoom_code: 300 } },
    ],
    [
      'somebody else’s meeting is 1010',
      { nonHostCode: 1010 },
      'zoom_non_host_code',
      { as_assumed: true, seen: { zoom_code: 1010, latchkey_code: 'not_the_host' } },
    ],
    [
      'somebody else’s meeting is 4700',
      { nonHostCode: 4700 },
      'zoom_non_host_code',
      { as_assumed: true, seen: { zoom_code: 4700, latchkey_code: 'not_the_host' } },
    ],
    [
      'somebody else’s meeting is 4711',
      { nonHostCode: 4711 },
      'zoom_non_host_code',
      { as_assumed: true, seen: { zoom_code: 4711 } },
    ],
    [
      'somebody else’s meeting is 124',
      { nonHostCode: 124 },
      'zoom_non_host_code',
      { as_assumed: false, seen: { zoom_code: 124, latchkey_code: 'zoom_unavailable' } },
    ],
  ]
  test.each(readings)('%s', async (_, modes, id, expected) => {
    const settings = await newSettings()
    t.zoom.setModes(modes)
    const { fact, status, counts } = await verify(settings)
    expect(fact(id)).toMatchObject({ verdict: 'PASS', ...expected })
    expect([status, counts.FAIL, fact('zoom_grant_survives').verdict]).toEqual([0, 0, 'PASS'])
  })

  const ofRefresh: [string, ModesInput, object][] = [
    ['strict', {}, { as_assumed: true, seen: { spent_token: 'refused', successor: 'lives' } }],
    [
      'family',
      { familyRevocation: true },
      { as_assumed: true, seen: { spent_token: 'refused', successor: 'is refused (rejected)' } },
    ],
    [
      'grace, the same pair',
      { graceSeconds: 60 },
      { as_assumed: false, seen: { spent_token: 'answers the same pair' } },
    ],
    [
      'grace, another pair',
      { graceSeconds: 60, graceAnswer: 'another' },
      { as_assumed: false, seen: { spent_token: 'answers another pair' } },
    ],
  ]
  test.each(ofRefresh)('a refresh token used again: %s', async (_, modes, expected) => {
    const given = await refreshToken()
    t.zoom.setModes(modes)
    const { fact } = await verify(given)
    expect(fact('zoom_refresh_reuse')).toMatchObject({ verdict: 'PASS', ...expected })
    expect(fact('zoom_refresh_rotates')).toMatchObject({ verdict: 'PASS', as_assumed: true })
    expect(fact('zoom_old_access_token_after_refresh')).toMatchObject({ verdict: 'PASS', as_assumed: true })
  })

  test.each([
    [false, true],
    [true, false],
  ])('revocation by refresh token: %s', async (revokeByRefreshToken, asAssumed) => {
    const given = await refreshToken()
    t.zoom.setModes({ revokeByRefreshToken })
    const { fact } = await verify(given)
    expect(fact('zoom_revoke_by_refresh_token')).toMatchObject({ verdict: 'PASS', as_assumed: asAssumed })
  })

  test('a dead refresh token is UNSEEN, not FAIL', async () => {
    const { fact, status } = await verify({ ...(await refreshToken()), VERIFY_REFRESH_TOKEN: 'dead' })
    expect([status, fact('zoom_refresh_reuse').reason]).toEqual([0, 'Zoom did not refresh: rejected'])
  })
})

describe('each reading of Recall’s is told as it is', () => {
  const see = async (modes: ModesInput) => {
    const settings = withRecall(await newSettings())
    t.zoom.setModes(modes)
    return await verify(settings)
  }

  test('a kind that comes unsigned is FAIL, with which and why, and exit 1', async () => {
    const { fact, status } = await see({ recallSignedKinds: ['join', 'zak'] })
    expect(status).toBe(1)
    expect(fact('recall_signed_per_kind')).toMatchObject({
      verdict: 'FAIL',
      seen: { refused: { obf: 2 }, reasons: ['signature_missing'] },
    })
    expect(fact('recall_access_callback_signed').verdict).toBe('FAIL')
  })

  test('one id for all requests of a bot, and calls again after 404', async () => {
    const { fact } = await see({ recallSharesIds: true, recallRetries: 2 })
    expect(fact('recall_id_reuse')).toMatchObject({
      verdict: 'PASS',
      as_assumed: true,
      seen: { requests: 2, distinct_ids: 1 },
    })
    expect(fact('recall_retry_after_404')).toMatchObject({ verdict: 'PASS', seen: { calls: 3 } })
  })

  test('a workspace without a secret signs nothing', async () => {
    const settings = { ...withRecall(await newSettings()), VERIFY_RECALL_API_KEY: 'a-key-without-a-secret' }
    expect((await verify(settings)).fact('recall_signed_per_kind')).toMatchObject({ verdict: 'FAIL' })
  })
})
