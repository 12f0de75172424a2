import * as z from 'zod'

/** What the token endpoint gives for a code or a refresh token. */
export interface TokenSet {
  accessToken: string
  refreshToken: string
  expiresInSeconds: number
  scopes: string[]
}

/** Printable ASCII up to 8 KiB: what may go into a header of ours, or be handed to a bot. */
export const zoomToken = z.string().regex(/^[\x21-\x7e]{1,8192}$/)

const DEFAULT_LIFE_SECONDS = 3600

/** An odd life never makes a pair unusable: the old pair is dead by now, and a token that lives an hour is what Zoom documents. */
const expiresIn = z.number().min(60).max(86_400).transform(Math.floor).catch(DEFAULT_LIFE_SECONDS)

const tokenReply = z.object({
  access_token: zoomToken,
  refresh_token: zoomToken,
  token_type: z
    .string()
    .regex(/^bearer$/i)
    .optional(),
  expires_in: expiresIn,
  scope: z.string().max(16_384).catch(''),
})

/** The pair in a 2xx body, or null where any token is missing or unfit. */
export function tokenSetOf(body: unknown): TokenSet | null {
  const { data } = tokenReply.safeParse(body)
  if (!data) return null
  return {
    accessToken: data.access_token,
    refreshToken: data.refresh_token,
    expiresInSeconds: data.expires_in,
    scopes: [...new Set(data.scope.match(/[\x21-\x7e]+/g))],
  }
}
