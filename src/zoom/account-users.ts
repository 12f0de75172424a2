import * as z from 'zod'
import type { ZoomReply } from './http.ts'
import { identifier } from './identifier.ts'
import { isMeetingId } from './meeting-id.ts'
import { type ListDeps, type ListPage, readPage } from './paged-list.ts'

/** Somebody of a Zoom account. Neither name nor address is read. */
export interface ListedUser {
  zoomUserId: string
  /** Number of the personal meeting room. */
  pmi: string | null
}

export interface ZoomAccountUsers {
  list(request: { accessToken: string; pageToken: string }): Promise<ListPage<ListedUser>>
}

const page = z.object({
  users: z.array(z.object({ id: z.unknown().optional(), pmi: z.unknown().optional() })).max(1000),
})

/**
 * One page of an account's active users, for the access token of an account-level app.
 * `list` @throws AccessTokenRefused, missing_scope, zoom_rate_limited, zoom_timeout, zoom_unavailable, as `readPage`
 * @see https://developers.zoom.us/docs/api/users/#tag/users/get/users
 */
export function createZoomAccountUsers(deps: ListDeps): ZoomAccountUsers {
  return {
    list: ({ accessToken, pageToken }) =>
      readPage(deps, { path: '/users', query: { status: 'active' }, accessToken, pageToken }, usersOf),
  }
}

function usersOf({ status, body }: ZoomReply): ListedUser[] | undefined {
  const { data } = page.safeParse(status === 200 ? body : undefined)
  return data?.users.flatMap(({ id, pmi }) => {
    const { data: zoomUserId } = identifier.safeParse(id)
    const number = String(pmi)
    return zoomUserId === undefined ? [] : [{ zoomUserId, pmi: isMeetingId(number) ? number : null }]
  })
}
