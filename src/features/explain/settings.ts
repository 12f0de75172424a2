import { AppError } from '../../errors.ts'
import type { GrantVault } from '../../grants/vault.ts'
import { createDeadline, withDeadline } from '../../lib/deadline.ts'
import { createLru } from '../../lib/lru.ts'
import { createSingleFlight } from '../../lib/single-flight.ts'
import { degradedParts } from '../../zoom/scopes.ts'
import type { SettingsOutcome, UserSettings } from '../../zoom/settings.ts'

/** Zoom's settings of a host, or why they cannot be told. */
export type SettingsView =
  | ({ isKnown: true } & UserSettings)
  | { isKnown: false; reason: 'no_host' | 'host_not_connected' | 'missing_scope' | 'no_answer' }

export interface SettingsDeps {
  vault: Pick<GrantVault, 'withAccessToken'>
  readAtZoom: (accessToken: string, timeoutMs: number, zoomUserId: string | null) => Promise<SettingsOutcome>
  monotonicNow: () => number
}

interface SettingsHost {
  grantId: string
  status: 'connected' | 'reconnect_required' | 'blocked'
  scopes: string[]
}

const DEADLINE_MS = 2000
// whoever asks again and again must not use up what Zoom lets this account ask
const REMEMBERED_MS = 60_000
const FAILURE_REMEMBERED_MS = 5000
const REMEMBERED_USERS = 1000

const unknown = (reason: 'no_host' | 'host_not_connected' | 'missing_scope' | 'no_answer'): SettingsView => ({
  isKnown: false,
  reason,
})
const noAnswer = () => new AppError('zoom_unavailable', 'Zoom gave no usable answer; try again.')
const tooLate = () => new AppError('zoom_timeout', 'Zoom did not answer in time; try again.')

/** Reads a host's settings at Zoom, of each user once a minute at most. Whatever goes wrong: they are unknown. */
export function createSettingsReader({ vault, readAtZoom, monotonicNow }: SettingsDeps) {
  const remembered = createLru<string, { view: SettingsView; untilMs: number }>(REMEMBERED_USERS)
  const flights = createSingleFlight<SettingsView>()

  async function ask(grantId: string, zoomUserId: string | null): Promise<SettingsView> {
    const deadline = createDeadline(DEADLINE_MS, monotonicNow)
    const call = async (accessToken: string) => {
      const answer = await readAtZoom(accessToken, Math.max(1, deadline.remainingMs()), zoomUserId)
      // thrown, or the vault would take it that Zoom took the token; a refused one is left for a bot's own request to renew
      if (answer.outcome === 'unavailable') throw noAnswer()
      return answer
    }
    const borrowed = vault.withAccessToken(grantId, call, { deadlineMs: DEADLINE_MS })
    const answer = await withDeadline(borrowed, DEADLINE_MS, tooLate).catch((error: unknown) => {
      if (error instanceof AppError) return null
      throw error
    })
    if (answer?.outcome === 'read') return { isKnown: true, ...answer.settings }
    return unknown(answer ? 'missing_scope' : 'no_answer')
  }

  /** Of a host; `zoomUserId`: of somebody of the account that an organization's grant is for. */
  return async (host: SettingsHost | null, zoomUserId: string | null): Promise<SettingsView> => {
    if (!host) return unknown('no_host')
    if (host.status !== 'connected') return unknown('host_not_connected')
    const key = `${host.grantId}/${zoomUserId ?? 'me'}`
    if (degradedParts(host.scopes).includes('settings')) return unknown('missing_scope')
    const known = remembered.get(key)
    if (known && monotonicNow() < known.untilMs) return known.view
    const view = await flights.run(key, () => ask(host.grantId, zoomUserId))
    const rememberedMs = view.isKnown ? REMEMBERED_MS : FAILURE_REMEMBERED_MS
    remembered.set(key, { view, untilMs: monotonicNow() + rememberedMs })
    return view
  }
}
