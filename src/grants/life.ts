/** An access token with less life than this is not lent: it must outlive the request it goes into. */
const LEAST_SECONDS = 60

export type LifeRules = ReturnType<typeof createLifeRules>

/**
 * How much life an access token must have left to be lent, and to be left alone. Zoom gives an hour. Should it ever give
 * tokens that are born below these marks, every mint would renew them again: what was last issued bounds both.
 */
export function createLifeRules(refreshMarginSeconds: number) {
  let issuedSeconds = Number.POSITIVE_INFINITY
  return {
    /** The life of a token that a refresh has just brought. */
    noteIssued(seconds: number): void {
      issuedSeconds = seconds
    },
    leastSeconds: (): number => Math.min(LEAST_SECONDS, issuedSeconds / 2),
    /**
     * How much life a token must have left to leave the service, where so much was asked. Where Zoom's own have hardly more, half of
     * what it issues: to renew at every call would kill each token as soon as it was lent.
     */
    lentSeconds: (askedSeconds: number): number =>
      askedSeconds < issuedSeconds * 0.9 ? askedSeconds : issuedSeconds / 2,
    /** Below this it is renewed in the background, while it is still lent. */
    marginSeconds: (): number =>
      refreshMarginSeconds < issuedSeconds * 0.9 ? refreshMarginSeconds : issuedSeconds * 0.75,
  }
}
