import { createHash, randomBytes } from 'node:crypto'
import { uuidv7 } from '../../src/lib/ids.ts'
import { createLocalKeyring, type LocalKeyring, newDataKey, seal } from '../../src/lib/sealing.ts'
import type { TestApp } from './app.ts'
import { CLIENT_ID, rows } from './connect.ts'
import { HOST_SCOPES } from './management.ts'

const CHUNK = 1000
const AT_ONCE = 20

interface Pair {
  userId: string
  accessToken: string
  refreshToken: string
}

/** The keyring of entries `kid:base64`, the first of them first. */
export const ringOf = (...entries: string[]): LocalKeyring =>
  createLocalKeyring(
    entries.map((entry) => {
      const [kid = '', key = ''] = entry.split(':')
      return { kid, key: Buffer.from(key, 'base64') }
    }),
  )

/** A user of the simulator with a meeting, and the pair that it gave to the service's own Zoom app. */
async function consented(t: TestApp, index: number): Promise<Pair> {
  const userId = `populationUser${String(index).padStart(6, '0')}`
  t.zoom.addUser({ id: userId, email: `${userId}@example.com` })
  t.zoom.addMeeting({ id: meetingOf(index), host: userId })
  const redirectUri = 'http://localhost:4000/zoom/oauth/callback'
  const request = { response_type: 'code', client_id: CLIENT_ID, redirect_uri: redirectUri, state: 'x', user: userId }
  const { code } = t.zoom.authorize(request as Parameters<typeof t.zoom.authorize>[0])
  const answer = await fetch(`${t.zoom.oauthBaseUrl}/oauth/token`, {
    method: 'POST',
    headers: { authorization: `Basic ${Buffer.from(`${CLIENT_ID}:simulator-client-secret`).toString('base64')}` },
    body: new URLSearchParams({ grant_type: 'authorization_code', code, redirect_uri: redirectUri }),
  })
  const { access_token: accessToken, refresh_token: refreshToken } = (await answer.json()) as Record<string, string>
  if (!accessToken || !refreshToken) throw new Error(`the simulator answered ${answer.status}`)
  return { userId, accessToken, refreshToken }
}

const meetingOf = (index: number) => String(500_000_000 + index)
const nobody = (index: number): Pair => ({
  userId: `nobody${index}`,
  accessToken: randomBytes(300).toString('base64url'),
  refreshToken: randomBytes(300).toString('base64url'),
})

async function insertGrants(t: TestApp, keyring: LocalKeyring, pairs: Pair[]): Promise<string[]> {
  const made = await Promise.all(
    pairs.map(async ({ userId, accessToken, refreshToken }) => {
      const id = uuidv7()
      const dataKey = await newDataKey(keyring, id)
      const place = { ownerId: id, table: 'grant_tokens', rowId: id, generation: 1 }
      const refreshCt = seal(dataKey, { ...place, column: 'refresh_ct' }, refreshToken)
      const accessCt = seal(dataKey, { ...place, column: 'access_ct' }, accessToken)
      return { id, userId, dataKey, refreshCt, accessCt }
    }),
  )
  const ids = made.map(({ id }) => id)
  await rows(
    t,
    `INSERT INTO grants (id, zoom_app_id, zoom_user_id, scopes)
     SELECT n.id, a.id, n.user_id, $3 FROM unnest($1::uuid[], $2::text[]) AS n (id, user_id), zoom_apps a`,
    [ids, made.map(({ userId }) => userId), HOST_SCOPES],
  )
  await rows(
    t,
    `INSERT INTO data_keys (id, owner_id, kid, wrapped)
     SELECT * FROM unnest($1::uuid[], $2::uuid[], $3::text[], $4::bytea[])`,
    [
      made.map(({ dataKey }) => dataKey.id),
      ids,
      made.map(({ dataKey }) => dataKey.kid),
      made.map(({ dataKey }) => dataKey.wrapped),
    ],
  )
  await rows(
    t,
    `INSERT INTO grant_tokens (grant_id, status, gen, refresh_ct, access_ct, access_expires_at, refreshed_at)
     SELECT id, 'connected', 1, refresh_ct, access_ct, now() + interval '1 hour', now()
       FROM unnest($1::uuid[], $2::bytea[], $3::bytea[]) AS n (id, refresh_ct, access_ct)`,
    [ids, made.map(({ refreshCt }) => refreshCt), made.map(({ accessCt }) => accessCt)],
  )
  return ids
}

/** Hosts of the tenant `default`, each with its meeting mapped and a pass. Gives the paths of the passes' join URLs. */
async function insertPasses(t: TestApp, grantIds: string[]): Promise<string[]> {
  const secrets = grantIds.map(() => randomBytes(32).toString('base64url'))
  const meetings = grantIds.map((_, index) => meetingOf(index))
  const hashes = secrets.map((secret) => createHash('sha256').update(secret).digest())
  const ids = () => grantIds.map(() => uuidv7())
  const values = [ids(), grantIds, meetings, ids(), hashes, ids()]
  await rows(
    t,
    `WITH n AS (
       SELECT * FROM unnest($1::uuid[], $2::uuid[], $3::text[], $4::uuid[], $5::bytea[], $6::uuid[])
              AS n (host_id, grant_id, meeting_id, pass_id, secret_hash, map_id)),
     t AS (SELECT id FROM tenants WHERE slug = 'default'),
     h AS (
       INSERT INTO hosts (id, tenant_id, external_user_id, grant_id, consent_epoch)
       SELECT host_id, t.id, 'user-' || meeting_id, grant_id, 0 FROM n, t),
     m AS (
       INSERT INTO meetings (id, tenant_id, meeting_id, external_user_id, source)
       SELECT map_id, t.id, meeting_id, 'user-' || meeting_id, 'api' FROM n, t)
     INSERT INTO passes (id, tenant_id, secret_hash, meeting_id, kinds, expires_at)
     SELECT pass_id, t.id, secret_hash, meeting_id, '{join}', now() + interval '1 day' FROM n, t`,
    values,
  )
  return secrets.map((secret) => `/zoom/join-token?pass=${secret}`)
}

/**
 * As many connected grants as a large installation has, past the connect flow: `living` of them are alive at Zoom and may be minted
 * for, the rest only lies there. All are sealed under the ring's first key.
 */
export async function seedPopulation(
  t: TestApp,
  keyring: LocalKeyring,
  { grants, living }: { grants: number; living: number },
) {
  const pairs: Pair[] = []
  for (let start = 0; start < living; start += AT_ONCE) {
    const count = Math.min(AT_ONCE, living - start)
    pairs.push(...(await Promise.all(Array.from({ length: count }, (_, index) => consented(t, start + index)))))
  }
  for (let index = living; index < grants; index++) pairs.push(nobody(index))
  const grantIds: string[] = []
  for (let start = 0; start < grants; start += CHUNK)
    grantIds.push(...(await insertGrants(t, keyring, pairs.slice(start, start + CHUNK))))
  const alive = grantIds.slice(0, living)
  return { grantIds: alive, paths: await insertPasses(t, alive) }
}
