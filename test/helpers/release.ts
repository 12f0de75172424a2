import type { TestApp } from './app.ts'
import { CLIENT_ID, rows } from './connect.ts'
import type { VaultHost } from './vault.ts'

/** What is left here of a host that was released. */
export async function remainsOf(t: TestApp, { grantId, hostId }: VaultHost) {
  const [row] = await rows(
    t,
    `SELECT t.refresh_ct, t.access_ct, g.email, g.display_name,
            EXISTS (SELECT FROM hosts WHERE id = $2) AS host
       FROM grant_tokens t JOIN grants g ON g.id = t.grant_id WHERE g.id = $1`,
    [grantId, hostId],
  )
  return row
}

/** The new keeper refreshes: true where Zoom takes the token. */
export async function isTakenByZoom(t: TestApp, refreshToken: string): Promise<boolean> {
  const answer = await fetch(`${t.zoom.oauthBaseUrl}/oauth/token`, {
    method: 'POST',
    headers: { authorization: `Basic ${Buffer.from(`${CLIENT_ID}:simulator-client-secret`).toString('base64')}` },
    body: new URLSearchParams({ grant_type: 'refresh_token', refresh_token: refreshToken }),
  })
  return answer.status === 200
}
