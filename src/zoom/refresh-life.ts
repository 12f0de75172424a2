// A hint and no reason to stop trying: Zoom sends no expiry with a refresh token.
const REFRESH_TOKEN_LIFE_MS = 90 * 24 * 3600 * 1000

/** Until when Zoom takes the refresh token of a pair issued at the given time; null where none was. */
export function refreshExpiryOf(issuedAt: Date | null): Date | null {
  return issuedAt && new Date(issuedAt.getTime() + REFRESH_TOKEN_LIFE_MS)
}
