import { describe, expect, test } from 'vitest'
import { AccessTokenRefused } from '../../../src/zoom/faults.ts'
import type { ZoomReply, ZoomRequest } from '../../../src/zoom/http.ts'
import { createZoomMeetings } from '../../../src/zoom/meetings.ts'

const NOW_MS = Date.parse('2026-11-24T12:00:00Z')

/** One page as Zoom answers it. */
function ask(reply: Partial<ZoomReply>, pageToken = '') {
  const sent: ZoomRequest[] = []
  const http = {
    async send(request: ZoomRequest) {
      sent.push(request)
      return { status: 200, headers: {}, body: { meetings: [] }, ...reply }
    },
  }
  const meetings = createZoomMeetings({ http, now: () => NOW_MS })
  return { sent, page: meetings.list({ accessToken: 'at-canary', zoomUserId: null, type: 'scheduled', pageToken }) }
}
const limits = (type: string, remaining: number, limit: number, reset: number) => ({
  'x-ratelimit-type': type,
  'x-ratelimit-remaining': String(remaining),
  'x-ratelimit-limit': String(limit),
  'x-ratelimit-reset': String(NOW_MS / 1000 + reset),
})
const pauseOf = async (headers: Record<string, string>) => (await ask({ headers }).page).pauseMs

describe('a page of meetings', () => {
  test('is asked for at its longest, with the token of the page before', async () => {
    const { sent, page } = ask({}, 'next+/=')
    await page
    expect(sent.map(({ path, query }) => [path, query])).toEqual([
      ['/users/me/meetings', { type: 'scheduled', page_size: '300', next_page_token: 'next+/=' }],
    ])
  })

  test('gives numbers as text, whichever way Zoom writes them, and nothing that is none', async () => {
    const meetings = [{ id: 85996249517, host_id: 'h' }, { id: '859962495' }, { id: 'x' }, { id: null }, {}]
    expect(await ask({ body: { meetings, next_page_token: 'n' } }).page).toMatchObject({
      items: [
        { meetingId: '85996249517', hostId: 'h' },
        { meetingId: '859962495', hostId: null },
      ],
      nextPageToken: 'n',
    })
  })

  test.each([
    ['a scope is missing', { status: 400, body: { code: 4711, message: 'no scope' } }, 'missing_scope'],
    ['Zoom is in trouble', { status: 503, body: undefined }, 'zoom_unavailable'],
    ['a firewall answers', { status: 200, body: undefined }, 'zoom_unavailable'],
  ])('where %s is an error of its own', async (_, reply, code) => {
    await expect(ask(reply).page).rejects.toMatchObject({ code })
  })

  test('whose access token is refused says so to whoever lent it', async () => {
    await expect(ask({ status: 401, body: { code: 124 } }).page).rejects.toBeInstanceOf(AccessTokenRefused)
  })

  test.each([
    ['7', 7],
    ['Tue, 24 Nov 2026 12:01:30 GMT', 90],
    ['2026-11-24T15:00:00Z', 3 * 3600],
    ['2027-11-24T15:00:00Z', 24 * 3600],
  ])('refused with 429 and Retry-After %j waits as long as that, a day at most', async (text, seconds) => {
    const reply = { status: 429, headers: { 'retry-after': text }, body: { code: 429 } }
    await expect(ask(reply).page).rejects.toMatchObject({ code: 'zoom_rate_limited', retryAfterSeconds: seconds })
  })
})

describe('the pause after a page', () => {
  test('is none while the account has calls left, and lasts to the next second where few are', async () => {
    expect(await pauseOf(limits('QPS', 19, 20, 1))).toBe(0)
    expect(await pauseOf(limits('QPS', 5, 20, 0.5))).toBe(500)
    expect(await pauseOf(limits('QPS', 0, 20, 9999))).toBe(1000)
  })
  test('lasts until the day’s limit ends where that is nearly reached', async () => {
    expect(await pauseOf(limits('Daily-limit', 100, 2000, 7200))).toBe(7_200_000)
    expect(await pauseOf(limits('Daily-limit', 1000, 2000, 7200))).toBeLessThan(1000)
  })
  test('is a short one where Zoom does not say what is left', async () => {
    expect(await pauseOf({})).toBe(200)
    expect(await pauseOf({ 'x-ratelimit-remaining': 'x', 'x-ratelimit-limit': '0' })).toBe(200)
  })
})
