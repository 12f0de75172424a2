import { afterAll, afterEach, beforeAll, describe, expect, test } from 'vitest'
import { adopt } from '../../src/cli/grants.ts'
import { startTestApp, type TestApp } from '../helpers/app.ts'
import { rows } from '../helpers/connect.ts'
import {
  expireAccessToken,
  grantRow,
  mintFault,
  newVaultHost,
  type Replica,
  refreshCalls,
  secondReplica,
  told,
  type VaultHost,
} from '../helpers/vault.ts'

let t: TestApp
/** A service of another installation, started on this very database as on a copy of it. */
let copy: Replica

beforeAll(async () => {
  t = await startTestApp()
  copy = await secondReplica(t, { INSTALLATION_ID: 'staging' })
})
afterAll(async () => {
  await copy.app.close()
  await t.stop()
})
afterEach(() => t.zoom.clearFaults())

const mintInCopy = async (host: VaultHost) => told(await copy.bot(host.joinUrl))
const ready = async ({ app }: Pick<Replica, 'app'>) => {
  const { statusCode, body } = await app.inject({ url: '/readyz' })
  return [statusCode, JSON.parse(body).status]
}

describe('a service whose INSTALLATION_ID is not the database’s', () => {
  test('starts, raises the alarm once, and is not ready, with the word why', async () => {
    expect(copy.log.filter((line) => JSON.parse(line).level === 'error')).toHaveLength(1)
    expect(await ready(copy)).toEqual([503, 'foreign_database'])
    expect(await ready(t)).toEqual([200, 'ready'])
  })

  test('serves while access tokens live, and renews none ahead of need', async () => {
    const host = await newVaultHost(t)
    const life = `UPDATE grant_tokens SET access_expires_at = now() + interval '100 s' WHERE grant_id = $1`
    await rows(t, life, [host.grantId])
    for (let index = 0; index < 3; index++) expect(await mintInCopy(host)).toEqual([200])
    expect(refreshCalls(t, host)).toBe(0)
    expect(await grantRow(t, host)).toMatchObject({ gen: 1, isIntentOpen: false, attempts: null })
  })

  test('answers 503 foreign_database once one has ended: nothing is spent, no lease is taken', async () => {
    const host = await newVaultHost(t)
    await expireAccessToken(t, host)
    const answer = await copy.bot(host.joinUrl)
    expect(told(answer)).toEqual([503, 'foreign_database'])
    expect(answer.headers['retry-after']).toBeDefined()
    expect(refreshCalls(t, host)).toBe(0)
    expect(await grantRow(t, host)).toMatchObject({ gen: 1, isIntentOpen: false, leaseSeconds: 0, attempts: null })
    expect(told(await t.bot(host.joinUrl))).toEqual([200])
  })

  test('answers so too where Zoom refuses a token that should live, and leaves the row as it is', async () => {
    const host = await newVaultHost(t)
    mintFault(t, host, { type: 'body', status: 401, body: { code: 124, message: 'Invalid access token.' } })
    expect(await mintInCopy(host)).toEqual([503, 'foreign_database'])
    expect(refreshCalls(t, host)).toBe(0)
    expect(await mintInCopy(host)).toEqual([200])
  })

  test('revokes nothing: a host is let go with revoke=false only', async () => {
    const host = await newVaultHost(t)
    const before = t.zoom.log({ path: '/oauth/revoke' }).length
    const remove = (query: string) =>
      copy.app.inject({
        method: 'DELETE',
        url: `/v1/hosts/${host.hostId}${query}`,
        headers: { authorization: `Bearer ${t.settings.OPERATOR_API_KEY}` },
      })
    const refused = await remove('')
    expect([refused.statusCode, refused.json().code]).toEqual([503, 'foreign_database'])
    expect((await remove('?revoke=false')).statusCode).toBe(204)
    expect(t.zoom.log({ path: '/oauth/revoke' }).length).toBe(before)
  })
})

test('latchkey grants adopt hands the database over: the adopter refreshes from then on, the former owner no more', async () => {
  const host = await newVaultHost(t)
  await expireAccessToken(t, host)
  expect(await mintInCopy(host)).toEqual([503, 'foreign_database'])
  const said: string[] = []
  await adopt({ ...t.settings, INSTALLATION_ID: 'staging' }, (line) => said.push(line))
  expect(said.join('\n')).toContain('staging')
  // replicas that run learn of it by the question that /readyz asks the database
  expect([await ready(copy), await ready(t)]).toEqual([
    [200, 'ready'],
    [503, 'foreign_database'],
  ])
  expect(await mintInCopy(host)).toEqual([200])
  expect(refreshCalls(t, host)).toBe(1)
  await expireAccessToken(t, host)
  expect(told(await t.bot(host.joinUrl))).toEqual([503, 'foreign_database'])
})
