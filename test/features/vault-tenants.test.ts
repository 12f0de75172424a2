import fc from 'fast-check'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { startTestApp, type TestApp } from '../helpers/app.ts'
import { newTenant, rows } from '../helpers/connect.ts'
import { unique } from '../helpers/management.ts'
import { told } from '../helpers/vault.ts'

let t: TestApp
let b: Awaited<ReturnType<typeof newTenant>>

beforeAll(async () => {
  t = await startTestApp()
  b = await newTenant(t)
})
afterAll(() => t.stop())

const TENANTS = ['a', 'b'] as const
type Tenant = (typeof TENANTS)[number]
type Act = 'connect' | 'refused connect' | 'disconnect' | 'the access token runs out'
type Step = readonly [Act, Tenant]

let meetings = 700_000_000

/** One Zoom user whom both tenants know, each under an id and with a pass of its own; nobody has connected them yet. */
async function stage() {
  const email = `${unique()}@example.com`
  const meeting = String(++meetings)
  t.zoom.addUser({ email })
  t.zoom.addMeeting({ id: meeting, host: email })
  const headers = { a: {}, b: b.headers }
  const externalUserId = { a: unique(), b: unique() }
  const passOf = (tenant: Tenant) =>
    t.createPass({ meeting, host: { external_user_id: externalUserId[tenant] } }, headers[tenant])
  const passes = { a: await passOf('a'), b: await passOf('b') }
  const linked = { a: false, b: false }

  async function consent(tenant: Tenant, more: Record<string, unknown> = {}) {
    const session = { external_user_id: externalUserId[tenant], ...more }
    return (await t.follow(await t.connectLink(session, headers[tenant]), email)).statusCode
  }
  const acts: Record<Act, (tenant: Tenant) => Promise<void>> = {
    async connect(tenant) {
      expect(await consent(tenant)).toBe(200)
      linked[tenant] = true
    },
    async 'refused connect'(tenant) {
      expect(await consent(tenant, { expected_email: 'somebody-else@example.com' })).toBe(400)
    },
    async disconnect(tenant) {
      const found = await t.api('GET', `/v1/hosts?external_user_id=${externalUserId[tenant]}`, {
        headers: headers[tenant],
      })
      const [host] = found.json().data
      expect(host !== undefined).toBe(linked[tenant])
      if (host) await t.api('DELETE', `/v1/hosts/${host.id}`, { headers: headers[tenant] })
      linked[tenant] = false
    },
    async 'the access token runs out'() {
      t.zoom.expireAccessTokens(email)
      await rows(t, 'UPDATE grant_tokens SET access_expires_at = now() WHERE access_ct IS NOT NULL')
    },
  }
  /** Bots of a tenant that is connected get tokens; those of one that is not are told that, whatever the other has done. */
  async function check() {
    for (const tenant of TENANTS) {
      const expected = linked[tenant] ? [200] : [404, 'host_not_connected']
      expect(told(await t.bot(passes[tenant].join_token_url)), `tenant ${tenant}`).toEqual(expected)
    }
    const isAlive = t.zoom.liveRefreshToken(email, 'simulator-client-id') !== null
    expect(isAlive, 'Zoom holds the grant while somebody links it, and no longer').toBe(linked.a || linked.b)
  }
  return { acts, check }
}

async function play(steps: readonly Step[]): Promise<void> {
  const { acts, check } = await stage()
  for (const [act, tenant] of steps) {
    await acts[act](tenant)
    await check()
  }
}

const ALL: Step[] = (['connect', 'refused connect', 'disconnect'] as const).flatMap((act) =>
  TENANTS.map((tenant) => [act, tenant] as const),
)
const PAIRS = ALL.flatMap((first) => ALL.map((second) => [first, second] as const))
const named = (steps: readonly Step[]) => steps.map(([act, tenant]) => `${tenant}: ${act}`).join(', ')

test.each(PAIRS.map((steps) => [named(steps), steps] as const))(
  'two tenants, one Zoom user, both connected; then %s: no tenant loses its bots to the other',
  async (_, steps) => {
    await play([['connect', 'a'], ['connect', 'b'], ...steps, ['the access token runs out', 'a']])
  },
)

test('and in any order of ten', { timeout: 60_000 }, async () => {
  const step = fc.tuple(
    fc.constantFrom<Act>('connect', 'refused connect', 'disconnect', 'the access token runs out'),
    fc.constantFrom(...TENANTS),
  )
  const orders = fc.array(step, { minLength: 10, maxLength: 10 })
  await fc.assert(fc.asyncProperty(orders, play), { numRuns: 12, endOnFailure: true })
})
