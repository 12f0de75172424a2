import { createHash, randomBytes } from 'node:crypto'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { OPERATOR_KEY, RECALL_SECRET, startTestApp, type TestApp } from '../helpers/app.ts'
import { CLIENT_ID, consent, HOST, readyToReturn, rows } from '../helpers/connect.ts'
import { dump } from '../helpers/dump.ts'
import { newRecallSecret, unsigned } from '../helpers/guard.ts'
import { unique } from '../helpers/management.ts'
import { endLease, expireAccessToken, newVaultHost, refreshFault, told } from '../helpers/vault.ts'

const mark = () => `canary-${randomBytes(18).toString('hex')}`
const CLIENT_SECRET = mark()
const API_APP_SECRETS = [mark(), mark()] as const
const WEBHOOK_SECRET = mark()
const RECALL_API_KEY = mark()

let t: TestApp
/** Everything that must be found nowhere, by what it is. */
const secrets = new Map<string, string>()
/** Of PKCE verifiers, which nobody but the service and Zoom ever sees: what hashes to one of these is one. */
const challenges = new Set<string>()
const keep = (what: string, value: string | undefined) => {
  if (!value) throw new Error(`the run made no ${what}`)
  secrets.set(`${what} ${secrets.size}`, value)
  return value
}

beforeAll(async () => {
  t = await startTestApp({
    env: {
      ZOOM_OAUTH_APP_CLIENT_SECRET: CLIENT_SECRET,
      RECALL_API_KEY,
      RECALL_REGION: 'us-east-1',
      LOG_LEVEL: 'trace',
    },
    simulator: { seed: { apps: [{ client_id: CLIENT_ID, client_secret: CLIENT_SECRET }] } },
  })
  keep('operator key', OPERATOR_KEY)
  keep('client secret', CLIENT_SECRET)
  keep('recall secret', RECALL_SECRET.slice('whsec_'.length))
  keep('recall api key', RECALL_API_KEY)
  for (const [name, value] of Object.entries(t.settings))
    if (name === 'ENCRYPTION_KEYS') keep('encryption key', value.split(':')[1])
})
afterAll(() => t.stop())

const passSecretOf = (url: string) => keep('pass secret', new URL(url).searchParams.get('pass') ?? undefined)

/** Tenants, keys, apps and workspaces, each with secrets of its own, each POST with a key to repeat it by. */
async function manage(): Promise<string> {
  const repeated = async (url: string, body: object, key = OPERATOR_KEY) => {
    const headers = { 'idempotency-key': keep('idempotency key', mark()) }
    const [first, second] = [
      await t.api('POST', url, { key, body, headers }),
      await t.api('POST', url, { key, body, headers }),
    ]
    expect([first.statusCode, second.body]).toEqual([201, first.body])
    return first.json()
  }
  const { id } = await repeated('/v1/tenants', { name: 'Acme' })
  const { key } = await repeated(`/v1/tenants/${id}/api-keys`, { name: 'key' })
  keep('api key', key)
  keep('api key', String(key).slice(-40))
  const secret = newRecallSecret()
  keep('recall secret', secret.slice('whsec_'.length))
  const workspace = { region: 'us-east-1', verification_secrets: [secret], api_key: keep('recall api key', mark()) }
  await repeated(`/v1/tenants/${id}/recall-workspaces`, workspace)
  for (const each of [...API_APP_SECRETS, WEBHOOK_SECRET]) keep('client secret', each)
  const app = {
    client_id: unique(),
    client_secret: API_APP_SECRETS[0],
    webhook_secret_token: WEBHOOK_SECRET,
    tenant_id: id,
  }
  const created = await repeated('/v1/zoom-apps', app)
  await t.api('PATCH', `/v1/zoom-apps/${created.id}`, { body: { client_secret: API_APP_SECRETS[1] } })
  const session = await repeated('/v1/connect-sessions', { external_user_id: 'u' }, key)
  keep('connect session', new URL(session.url).searchParams.get('session') ?? undefined)
  passSecretOf((await repeated('/v1/passes', { meeting: '85996249517' }, key)).join_token_url)
  await t.api('GET', '/v1/hosts', { key })
  await t.api('GET', '/v1/hosts', { key: keep('wrong api key', `lk_${mark()}`) })
  return key
}

/** Flows that end well, badly, and not at all. */
async function connect(): Promise<void> {
  const good = await readyToReturn(t, { external_user_id: 'good' })
  const declined = await readyToReturn(t, { external_user_id: 'declined', expected_email: 'another@example.com' }, HOST)
  for (const { url, authorize, state, cookie, code, callback, comeBack } of [good, declined]) {
    challenges.add(authorize.searchParams.get('code_challenge') ?? '')
    keep('connect session', new URL(url).searchParams.get('session') ?? undefined)
    keep('state', state)
    keep('code', code)
    for (const pair of cookie.split('; ')) keep('cookie', pair.slice(pair.indexOf('=') + 1))
    await comeBack()
    await comeBack(callback)
    await comeBack(callback.replace('code=', 'code=x'), {})
  }
  const { authorize, cookie } = await t.open(await t.connectLink({ external_user_id: 'unfinished' }))
  challenges.add(authorize.searchParams.get('code_challenge') ?? '')
  keep('state', authorize.searchParams.get('state') ?? undefined)
  keep('cookie', cookie.slice(cookie.indexOf('=') + 1))
  await consent(t, authorize)
  await t.app.inject({ url: `/zoom/oauth/callback?code=${keep('code', mark())}&state=${keep('state', mark())}` })
  await t.app.inject({ url: `/zoom/oauth?session=${keep('connect session', mark())}` })
}

/** Mints of all kinds, refusals of all kinds, and refreshes that go well, badly and astray. */
async function mint(): Promise<void> {
  const host = await newVaultHost(t)
  const person = { host: { external_user_id: host.externalUserId }, kinds: ['join', 'obf', 'zak'] }
  const pass = await t.createPass({
    meeting: `https://zoom.us/j/${host.meeting}?pwd=${keep('password', mark())}`,
    ...person,
  })
  passSecretOf(host.joinUrl)
  passSecretOf(pass.join_token_url)
  for (const url of [pass.join_token_url, pass.obf_token_url, pass.zak_token_url]) {
    const answer = await t.bot(url)
    expect(told(answer)).toEqual([200])
    keep('minted token', answer.body)
    await t.bot(url, { secrets: [newRecallSecret()] })
    await unsigned(t.app, url)
    await t.bot(`${url}&meeting_id=111111111`)
    await t.bot(`${url}&pass=${keep('pass secret', mark())}`)
    await t.bot(`/zoom/join-token?pass=${keep('pass secret', mark())}%zz`)
  }
  await expireAccessToken(t, host)
  await t.bot(pass.join_token_url)
  for (const action of [
    {
      type: 'body',
      status: 400,
      body: { error: keep('upstream text', mark()), reason: keep('upstream text', mark()) },
    },
    { type: 'status', status: 500, body: { message: keep('upstream text', mark()) } },
    { type: 'omit', field: 'refresh_token' },
  ] as const) {
    const other = await newVaultHost(t)
    await expireAccessToken(t, other)
    refreshFault(t, other, action)
    await t.bot(other.joinUrl)
    await endLease(t, other) // or the revocation would wait for it
    await t.api('DELETE', `/v1/hosts/${other.hostId}`)
  }
  const leaver = await newVaultHost(t)
  const headers = { 'idempotency-key': keep('idempotency key', mark()) }
  const released = await t.api('POST', `/v1/hosts/${leaver.hostId}/release`, { headers })
  keep('released token', released.json().refresh_token)
  t.zoom.setFault({ match: { path: '/v2/meetings' }, action: { type: 'zoom_error', code: 4711 } })
  await t.bot(pass.join_token_url)
}

/** A value as it would look in a text, in hexadecimal and in base64 of the bytes it is or stands for. */
function formsOf(value: string): string[] {
  const bytes = Buffer.from(value)
  const plain = [value, encodeURIComponent(value), bytes.toString('hex')]
  const decoded = /^[A-Za-z0-9+/_-]{40,}=*$/.test(value) ? [Buffer.from(value, 'base64').toString('hex')] : []
  return [...plain, bytes.toString('base64').replace(/=+$/, '').slice(0, -2), ...decoded]
}

function verifiersIn(text: string): string[] {
  const windows = (run: string) => Array.from({ length: run.length - 42 }, (_, start) => run.slice(start, start + 43))
  const candidates = new Set((text.match(/[\w-]{43,}/g) ?? []).flatMap(windows))
  return [...candidates].filter((one) => challenges.has(createHash('sha256').update(one).digest('base64url')))
}

function leaksIn(places: Record<string, string>): string[] {
  const found = ([what, value]: [string, string]) =>
    Object.entries(places)
      .filter(([, text]) => formsOf(value).some((form) => text.includes(form)))
      .map(([place]) => `${what} in the ${place}`)
  const verifiers = Object.entries(places).flatMap(([place, text]) =>
    verifiersIn(text).map(() => `verifier in the ${place}`),
  )
  return [...[...secrets].flatMap(found), ...verifiers]
}

test('after the whole path neither a line of the log nor a row of the database holds any secret', async () => {
  await manage()
  await connect()
  await mint()
  await t.services.ledger.flush()
  for (const { kind, value } of t.zoom.issued) keep(kind, value)
  expect(new Set([...secrets.keys()].map((what) => what.replace(/ \d+$/, ''))).size).toBeGreaterThan(15)
  expect(challenges.size).toBe(3)
  expect(t.log.length).toBeGreaterThan(100)
  expect(leaksIn({ log: t.log.join(''), database: await dump(t) })).toEqual([])
})

test('and the search would have found one, as text, as bytes, and a verifier by its hash', async () => {
  const [verifier, inText, inBytes] = [mark().slice(0, 43), mark(), randomBytes(32)]
  challenges.add(createHash('sha256').update(verifier).digest('base64url'))
  keep('planted text', inText)
  keep('planted bytes', inBytes.toString('base64url'))
  const id = (await t.api('POST', '/v1/tenants', { body: { name: `x${inText}x` } })).json().id
  await t.api('POST', `/v1/tenants/${id}/api-keys`, { body: { name: 'key' } })
  await rows(t, 'UPDATE api_keys SET secret_hash = $1', [inBytes])
  await rows(t, 'UPDATE tenants SET slug = $2 WHERE id = $1', [id, `s-${verifier}`])
  expect(leaksIn({ database: await dump(t) }).map((leak) => leak.replace(/ \d+/, ''))).toEqual([
    'planted text in the database',
    'planted bytes in the database',
    'verifier in the database',
  ])
})
