import { AppError } from '../../errors.ts'
import type { GrantVault } from '../../grants/vault.ts'
import { jitter, sleep } from '../../lib/deadline.ts'
import type { ListedMeeting } from '../../zoom/meetings.ts'
import type { ListPage } from '../../zoom/paged-list.ts'

export interface ListReaderDeps {
  vault: Pick<GrantVault, 'withAccessToken'>
  log: { warn: (fields: object, message: string) => void }
  now: () => number
  random: () => number
}

/** One of Zoom's lists, read with a grant's access token. */
export interface ZoomList<Item> {
  grantId: string
  /** For the log. */
  name: string
  maxPages: number
  signal: AbortSignal
  ask: (accessToken: string, pageToken: string) => Promise<ListPage<Item>>
  /** Takes a page in before the next is asked for. `askedAt`: before the question. */
  keep: (items: Item[], askedAt: Date) => Promise<void>
}

/** Longer than this nobody sleeps: the sync ends and comes again. */
const LONGEST_PAUSE_MS = 5000
const MAX_WAITS = 5

const limited = (pauseMs: number) =>
  new AppError('zoom_rate_limited', 'What Zoom allows this account is nearly used up.', {
    retryAfterSeconds: Math.ceil(pauseMs / 1000),
  })

/** How long Zoom asked to be left alone. */
export const waitMsOf = ({ retryAfterSeconds = 1 }: AppError): number => retryAfterSeconds * 1000

/** The numbers of a page that are this user's own, each once, and were not found before. */
export function freshNumbersOf(listed: ListedMeeting[], zoomUserId: string, found: ReadonlySet<string>): string[] {
  const own = listed.filter(({ hostId }) => hostId === null || hostId === zoomUserId)
  return [...new Set(own.map(({ meetingId }) => meetingId))].filter((meetingId) => !found.has(meetingId))
}

/** Reads Zoom's lists to their end, at the pace that Zoom allows. */
export function createListReader({ vault, log, now, random }: ListReaderDeps) {
  async function pageOf<Item>({ grantId, signal, ask }: ZoomList<Item>, pageToken: string): Promise<ListPage<Item>> {
    for (let waits = 0; ; waits++) {
      try {
        return await vault.withAccessToken(grantId, (accessToken) => ask(accessToken, pageToken))
      } catch (error) {
        const waitMs = error instanceof AppError && error.code === 'zoom_rate_limited' ? waitMsOf(error) : null
        if (waitMs === null || waitMs > LONGEST_PAUSE_MS || waits === MAX_WAITS) throw error
        await sleep(waitMs + jitter(0, 500, random), signal)
      }
    }
  }

  /** @throws missing_scope, zoom_rate_limited, zoom_timeout, zoom_unavailable, and what the vault throws; AbortError */
  return async function readAll<Item>(list: ZoomList<Item>): Promise<void> {
    let pageToken = ''
    for (let pages = 0; pages < list.maxPages; pages++) {
      const askedAt = new Date(now())
      const page = await pageOf(list, pageToken)
      await list.keep(page.items, askedAt)
      if (page.pauseMs > LONGEST_PAUSE_MS) throw limited(page.pauseMs)
      if (page.pauseMs > 0) await sleep(page.pauseMs, list.signal)
      pageToken = page.nextPageToken
      if (pageToken === '') return
    }
    log.warn({ grant_id: list.grantId, list: list.name }, 'a list did not end; the rest of it was left')
  }
}

export type ReadAll = ReturnType<typeof createListReader>
