import { setTimeout as delay } from 'node:timers/promises'
import { afterAll, afterEach, beforeAll, expect, test, vi } from 'vitest'
import { BUSY_MACHINE, mint, startWorld, type World } from '../chaos/world.ts'
import { CLIENT_ID, rows } from '../helpers/connect.ts'
import type { Replica } from '../helpers/replica.ts'
import { expireAccessToken, newVaultHost, type VaultHost } from '../helpers/vault.ts'

/** How long a refused Zoom app is minted against: a minute in `npm run chaos -- --outage 60`. */
const OUTAGE_SECONDS = Number(process.env.CHAOS_OUTAGE_SECONDS ?? 4)
const MINTS_PER_SECOND = 100
const SECRET = 'simulator-client-secret'

vi.setConfig(BUSY_MACHINE)

let world: World
let replicas: Replica[]

beforeAll(async () => {
  world = await startWorld()
  // one event loop plays Zoom and all the bots here, so how long they wait says nothing of the service
  const patience = { MINT_DEADLINE_MS: '25000', ZOOM_TIMEOUT_MS: '20000' }
  const env = { ...patience, DATABASE_URL: String(world.t.settings.DATABASE_URL) }
  replicas = await Promise.all([1, 2, 3].map(() => world.replica(env)))
})
afterAll(() => world.stop())
const setSecretAtZoom = (secret: string) =>
  world.t.zoom.addApp({ client_id: CLIENT_ID, client_secrets: [secret], disabled: false })
afterEach(() => {
  setSecretAtZoom(SECRET)
})

const replicaOf = (index: number) => replicas[index % replicas.length] as Replica

/** Mints of these hosts in turn, spread over the replicas, all at the same moment. */
const allAtOnce = (hosts: VaultHost[], times: number) =>
  Promise.all(
    hosts.flatMap((host, offset) => Array.from({ length: times }, (_, index) => mint(replicaOf(index + offset), host))),
  )

test('3 replicas, one expired grant, 600 concurrent mints: exactly one refresh, 600 tokens, no failure', async () => {
  const host = await world.expiredHost()
  const before = world.t.zoom.refreshes
  const answers = await allAtOnce([host], 600)
  expect(answers.filter(({ status }) => status !== 200)).toEqual([])
  expect(new Set(answers.map(({ body }) => body)).size).toBe(600)
  expect(world.t.zoom.refreshes - before).toBe(1)
})

test('3 replicas, 60 expired grants, 10 mints of each at once: exactly 60 refreshes, no failure', async () => {
  const hosts = await Promise.all(Array.from({ length: 60 }, () => world.expiredHost()))
  const before = world.t.zoom.refreshes
  const answers = await allAtOnce(hosts, 10)
  expect(answers.filter(({ status }) => status !== 200)).toEqual([])
  expect(world.t.zoom.refreshes - before).toBe(60)
  const ends = await Promise.all(hosts.map((host) => world.truth(host)))
  expect(ends.filter(({ isLive, isIntentOpen }) => !isLive || isIntentOpen)).toEqual([])
})

test('Zoom refuses the app under a steady load of mints: no grant changes, one alarm per replica, and it mends itself', {
  timeout: (OUTAGE_SECONDS + 30) * 1000,
}, async () => {
  const [living, expired] = await Promise.all([newVaultHosts(5), newVaultHosts(20)])
  for (const host of expired) await expireAccessToken(world.t, host)
  expect(await statusesOf(living)).toEqual(living.map(() => 200))
  const [grants, alarms] = [await grantStates(), replicas.map(alarmsOf)]
  setSecretAtZoom('another-secret')
  const answers = await steadyLoad([...living, ...expired])
  const statuses = [...new Set(answers.map(({ answer }) => answer.code ?? answer.status))].sort()
  expect(statuses).toEqual([200, 'app_misconfigured'])
  const failed = answers.filter(({ host, answer }) => living.includes(host) && answer.status !== 200)
  expect(failed).toEqual([]) // a living access token serves on
  expect(await grantStates()).toEqual(grants)
  expect(replicas.map((replica, index) => alarmsOf(replica) - (alarms[index] ?? 0))).toEqual([1, 1, 1])
  setSecretAtZoom(SECRET)
  await expect.poll(() => statusesOf(expired), { timeout: 15_000, interval: 500 }).toEqual(expired.map(() => 200))
  expect(replicas.map((replica, index) => alarmsOf(replica) - (alarms[index] ?? 0))).toEqual([1, 1, 1])
})

const newVaultHosts = (count: number) => Promise.all(Array.from({ length: count }, () => newVaultHost(world.t)))
const statusesOf = async (hosts: VaultHost[]) => (await allAtOnce(hosts, 1)).map(({ status }) => status)

async function steadyLoad(hosts: VaultHost[]) {
  const answers: Promise<{ host: VaultHost; answer: Awaited<ReturnType<typeof mint>> }>[] = []
  const endAt = performance.now() + OUTAGE_SECONDS * 1000
  for (let index = 0; performance.now() < endAt; index++) {
    const host = hosts[index % hosts.length] as VaultHost
    answers.push(mint(replicaOf(index), host).then((answer) => ({ host, answer })))
    await delay(1000 / MINTS_PER_SECOND)
  }
  return await Promise.all(answers)
}

const grantStates = () =>
  rows(world.t, 'SELECT grant_id, status, status_reason, gen, intent_gen FROM grant_tokens ORDER BY grant_id')

/** Lines of level error: each wakes somebody. */
const alarmsOf = ({ log }: Replica) =>
  log
    .join('')
    .split('\n')
    .filter((line) => line.includes('"level":"error"')).length
