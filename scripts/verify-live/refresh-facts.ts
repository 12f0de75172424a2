import { isAccessTokenRefused } from '../../src/zoom/faults.ts'
import { createZoomHttp, type ZoomHttp } from '../../src/zoom/http.ts'
import { createZoomOAuth, type RefreshOutcome } from '../../src/zoom/oauth.ts'
import type { TokenSet } from '../../src/zoom/token-set.ts'
import type { FactId, Notebook } from './facts.ts'
import type { Settings } from './settings.ts'

const BY_REFRESH_TOKEN: FactId[] = ['zoom_refresh_rotates', 'zoom_refresh_reuse', 'zoom_revoke_by_refresh_token']

interface Visit {
  notebook: Notebook
  refresh: (refreshToken: string) => Promise<RefreshOutcome>
  /** Whether Zoom took the token for a revocation. */
  revoke: (token: string) => Promise<boolean>
  isAlive: (accessToken: string) => Promise<boolean>
}

function rotated(outcome: RefreshOutcome): TokenSet {
  if (outcome.outcome === 'rotated') return outcome.tokens
  throw new Error(`Zoom did not refresh: ${outcome.outcome}`)
}

/** Presents `spent` again, whose successor is `current`; gives the newest living pair, if there is one. */
async function reuse({ notebook, refresh }: Visit, spent: string, current: TokenSet): Promise<TokenSet | null> {
  const again = await refresh(spent)
  if (again.outcome !== 'rotated' && again.outcome !== 'rejected') {
    notebook.unseen(['zoom_refresh_reuse'], `Zoom answered the spent token: ${again.outcome}`)
    return current
  }
  const newest = again.outcome === 'rotated' ? again.tokens : current
  const next = await refresh(current.refreshToken)
  const successor = next.outcome === 'rotated' ? 'lives' : `is refused (${next.outcome})`
  const spentToken =
    again.outcome === 'rejected'
      ? 'refused'
      : again.tokens.refreshToken === current.refreshToken
        ? 'answers the same pair'
        : 'answers another pair'
  notebook.pass('zoom_refresh_reuse', again.outcome === 'rejected', { spent_token: spentToken, successor })
  if (next.outcome === 'rotated') return next.tokens
  return newest === current ? null : newest
}

async function revocation({ notebook, revoke, isAlive }: Visit, pair: TokenSet): Promise<void> {
  if (!(await isAlive(pair.accessToken)))
    return notebook.unseen(['zoom_revoke_by_refresh_token'], 'the grant was dead by then')
  const isTaken = await revoke(pair.refreshToken)
  const isGone = !(await isAlive(pair.accessToken))
  notebook.pass('zoom_revoke_by_refresh_token', !isGone, { taken: isTaken, access_token: isGone ? 'died' : 'lives on' })
  if (!isGone) await revoke(pair.accessToken) // whoever holds this pair now is nobody: let it end
}

async function look(visit: Visit, given: string): Promise<void> {
  const { notebook, refresh, isAlive } = visit
  const first = rotated(await refresh(given))
  const second = rotated(await refresh(first.refreshToken))
  const isOldAlive = await isAlive(first.accessToken)
  notebook.pass('zoom_old_access_token_after_refresh', !isOldAlive, {
    old_token: isOldAlive ? 'lives on' : 'died at once',
  })
  const isNew = second.refreshToken !== first.refreshToken
  notebook.pass('zoom_refresh_rotates', isNew, { refresh_token: isNew ? 'another' : 'the same' })
  const left = isNew ? await reuse(visit, first.refreshToken, second) : second
  if (left) await revocation(visit, left)
  else notebook.unseen(['zoom_revoke_by_refresh_token'], 'the grant died of the reuse')
}

function visitOf(settings: Settings, notebook: Notebook, [tokenEndpoint, api]: [ZoomHttp, ZoomHttp]): Visit {
  const { VERIFY_ZOOM_CLIENT_ID: clientId = '', VERIFY_ZOOM_CLIENT_SECRET: clientSecret = '' } = settings
  const oauth = createZoomOAuth({ http: tokenEndpoint })
  const credentials = { clientId, clientSecrets: [clientSecret] }
  return {
    notebook,
    refresh: (refreshToken) => oauth.refresh({ ...credentials, refreshToken, timeoutMs: 15_000 }),
    revoke: async (accessToken) => (await oauth.revoke({ ...credentials, accessToken })).outcome === 'revoked',
    async isAlive(accessToken) {
      const headers = { authorization: `Bearer ${accessToken}` }
      return !isAccessTokenRefused(await api.send({ method: 'GET', path: '/users/me', headers }))
    },
  }
}

/** What only a refresh token can show. It is spent, and its grant ends: it must be one that nobody else refreshes. */
export async function seeRefresh(settings: Settings, notebook: Notebook): Promise<void> {
  const { VERIFY_REFRESH_TOKEN: given, VERIFY_ZOOM_CLIENT_ID: id, VERIFY_ZOOM_CLIENT_SECRET: secret } = settings
  if (!given || !id || !secret) {
    const reason = 'give VERIFY_REFRESH_TOKEN, VERIFY_ZOOM_CLIENT_ID and VERIFY_ZOOM_CLIENT_SECRET; it ends that grant'
    return notebook.unseen(BY_REFRESH_TOKEN, reason)
  }
  const https: [ZoomHttp, ZoomHttp] = [
    createZoomHttp({ baseUrl: settings.ZOOM_OAUTH_BASE_URL, timeoutMs: 15_000 }),
    createZoomHttp({ baseUrl: settings.ZOOM_API_BASE_URL, timeoutMs: 15_000 }),
  ]
  try {
    await look(visitOf(settings, notebook, https), given)
  } catch (error) {
    notebook.unseen(BY_REFRESH_TOKEN, error instanceof Error ? error.message : 'it failed')
  } finally {
    for (const http of https) await http.close()
  }
}
