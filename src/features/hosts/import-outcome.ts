/** A host that another system looked after until now. */
export interface ImportRow {
  externalUserId: string
  refreshToken: string
}

export interface ImportResult {
  externalUserId: string
  status: 'connected' | 'rejected' | 'deferred'
  hostId?: string
  /** Why it was rejected or deferred. */
  code?: string
  /** When a deferred one is worth another try; only told within the process. */
  retryAfterSeconds?: number
}

export type Outcome = Omit<ImportResult, 'externalUserId'>

export const rejected = (code: string): Outcome => ({ status: 'rejected', code })
export const deferred = (code: string, retryAfterSeconds = 1): Outcome => ({
  status: 'deferred',
  code,
  retryAfterSeconds,
})
