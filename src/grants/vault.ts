import type { TokenSet } from '../zoom/oauth.ts'

/** A grant whose new pair is stored. */
export interface AdmittedGrant {
  grantId: string
  /** What a host or organization linked through this authorisation is linked under. */
  consentEpoch: number
}

export interface BorrowOptions {
  /** How long the caller waits, all told; the refresh behind it goes on. */
  deadlineMs?: number
  /** The generation and life that a statement of the caller's has just read: spares the vault its own read. */
  seen?: { gen: bigint; accessLifeSeconds: number }
}

/** What the rest of the service may ask of the vault. A refresh token never comes out of it. */
export interface GrantVault {
  /** Stores the pair just received from Zoom, before anything may refuse it. Retries until stored. */
  admit(input: {
    zoomAppId: string
    zoomUserId: string
    zoomAccountId: string | null
    tokens: TokenSet
  }): Promise<AdmittedGrant>
  /** Keeps what Zoom says of the person: never a key, only shown. */
  noteProfile(grantId: string, profile: { email: string | null; displayName: string | null }): Promise<void>
  /**
   * Lends a living access token for one call.
   * @throws reconnect_required, host_not_connected, host_blocked, app_misconfigured, zoom_unavailable, zoom_timeout,
   * zoom_rate_limited, busy, store_unavailable, foreign_database
   */
  withAccessToken<T>(grantId: string, use: (accessToken: string) => Promise<T>, options?: BorrowOptions): Promise<T>
  /** Renews in the background what is close to its end; never throws, never waits. */
  warm(grantId: string): void
  /**
   * Where no tenant links the grant any more: revokes it at Zoom, best effort, and erases its tokens.
   * `kept` while somebody links it.
   */
  releaseIfUnlinked(
    grantId: string,
    options: { revoke: boolean },
  ): Promise<'kept' | 'revoked' | 'revoke_failed' | 'erased'>
}
