/**
 * The one table that joins an error code to its HTTP status. `docs/errors.md` documents every line and a test keeps the
 * two equal. `retryable` says whether the same request may succeed later; such answers carry `Retry-After`.
 */
export const CATALOGUE = {
  invalid_request: { status: 400, retryable: false, title: 'Invalid request' },
  unauthenticated: { status: 401, retryable: false, title: 'Unauthenticated' },
  forbidden: { status: 403, retryable: false, title: 'Forbidden' },
  pass_mismatch: { status: 403, retryable: false, title: 'The pass is not for this request' },
  not_found: { status: 404, retryable: false, title: 'Not found' },
  method_not_allowed: { status: 405, retryable: false, title: 'Method not allowed' },
  conflict: { status: 409, retryable: false, title: 'Conflict' },
  app_not_configured: { status: 409, retryable: false, title: 'No Zoom app is configured' },
  zoom_app_exists: { status: 409, retryable: false, title: 'This Zoom app is already known' },
  grant_shared: { status: 409, retryable: false, title: 'Others use this grant' },
  payload_too_large: { status: 413, retryable: false, title: 'Payload too large' },
  unsupported_media_type: { status: 415, retryable: false, title: 'Unsupported media type' },
  rate_limited: { status: 429, retryable: true, title: 'Too many requests' },
  internal_error: { status: 500, retryable: false, title: 'Internal error' },

  // bot routes: Zoom gives no token
  meeting_not_mapped: { status: 404, retryable: false, title: 'Meeting not mapped' },
  host_not_connected: { status: 404, retryable: false, title: 'Host not connected' },
  reconnect_required: { status: 404, retryable: false, title: 'The host must reconnect Zoom' },
  host_blocked: { status: 404, retryable: false, title: 'The host is blocked at Zoom' },
  not_the_host: { status: 404, retryable: false, title: 'Not the host of this meeting' },
  local_recording_disabled: { status: 404, retryable: false, title: 'Local recording is disabled' },
  missing_scope: { status: 404, retryable: false, title: 'Missing scope' },
  meeting_not_found: { status: 404, retryable: false, title: 'Meeting not found at Zoom' },
  webinar_unsupported: { status: 404, retryable: false, title: 'Webinars are not supported' },

  // bot routes: try again
  zoom_unavailable: { status: 502, retryable: true, title: 'Zoom is unavailable' },
  zoom_rate_limited: { status: 503, retryable: true, title: 'Zoom limits our requests' },
  busy: { status: 503, retryable: true, title: 'Busy' },
  app_misconfigured: { status: 503, retryable: true, title: 'Zoom refuses the Zoom app' },
  store_unavailable: { status: 503, retryable: true, title: 'The store is unavailable' },
  foreign_database: { status: 503, retryable: true, title: 'The database belongs to another installation' },
  zoom_timeout: { status: 504, retryable: true, title: 'Zoom did not answer in time' },

  // browser routes: why a connect flow ended without a connected host
  access_denied: { status: 400, retryable: false, title: 'Access was declined' },
  email_mismatch: { status: 400, retryable: false, title: 'Another e-mail address was expected' },
  email_unverifiable: { status: 400, retryable: false, title: 'The e-mail address cannot be verified' },
  other_zoom_user: { status: 400, retryable: false, title: 'Another Zoom user is connected here' },
  already_connected: { status: 400, retryable: false, title: 'This Zoom user is already connected' },
  connect_failed: { status: 400, retryable: false, title: 'Connecting failed' },
  invalid_flow: { status: 400, retryable: false, title: 'This link is no longer valid' },
} as const satisfies Record<string, { status: number; retryable: boolean; title: string }>

export type ErrorCode = keyof typeof CATALOGUE

export interface AppErrorOptions extends ErrorOptions {
  /** Where HTTP has a more exact status than the code's own: 408, 417, 431. */
  status?: number
  /** Sent as `Retry-After`, whole seconds; retryable codes without one answer 1. */
  retryAfterSeconds?: number
  /** What the upstream said, for the ledger: numbers only, never its text. */
  zoomStatus?: number
  zoomCode?: number
  /** Names the finer reason in the log and the ledger; never shown to the caller. */
  reason?: string
  /** One entry per offending field of a request. */
  errors?: { path: string; message: string }[]
}

/** The only error that services, the vault and the upstream clients throw. `message` is public text: it never quotes a secret. */
export class AppError extends Error {
  override readonly name = 'AppError'
  readonly code: ErrorCode
  readonly status: number | undefined
  readonly retryAfterSeconds: number | undefined
  readonly zoomStatus: number | undefined
  readonly zoomCode: number | undefined
  readonly reason: string | undefined
  readonly errors: { path: string; message: string }[] | undefined

  constructor(code: ErrorCode, message: string, options: AppErrorOptions = {}) {
    super(message, options)
    this.code = code
    this.status = options.status
    this.retryAfterSeconds = options.retryAfterSeconds
    this.zoomStatus = options.zoomStatus
    this.zoomCode = options.zoomCode
    this.reason = options.reason
    this.errors = options.errors
  }

  /** HTTP status, retryability and title of this error's code. */
  get rendering(): { status: number; retryable: boolean; title: string } {
    const known = CATALOGUE[this.code]
    return this.status === undefined ? known : { ...known, status: this.status }
  }
}

/** Refuses one field of a body: `message` goes on after its name, as in "meeting is required". */
export const invalidField = (field: string, message: string) =>
  new AppError('invalid_request', `${field} ${message}`, { errors: [{ path: `body/${field}`, message }] })

/** A copy of another installation's database: what Zoom would notice is off until the operator adopts it. */
export const foreignDatabase = () =>
  new AppError('foreign_database', 'This database was first used by another installation; see latchkey grants adopt.')
