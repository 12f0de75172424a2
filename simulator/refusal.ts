/** An answer of the simulated Zoom. An object body goes out as JSON, text as HTML. */
export interface ZoomReply {
  status: number
  headers?: Record<string, string>
  body: unknown
}

/** A refusal by the simulated Zoom: it carries the very answer that goes out. */
export class Refusal extends Error {
  readonly reply: ZoomReply
  constructor(reply: ZoomReply) {
    super(`refused with status ${reply.status}`)
    this.reply = reply
  }
}

/** A refusal of the REST API, `{"code":n,"message":"…"}`. */
export function apiRefusal(status: number, code: number, message: string, more: object = {}): Refusal {
  return new Refusal({ status, body: { code, message, ...more } })
}

/** A refusal of the token endpoint, `{"reason":"…","error":"…"}`. */
export function oauthRefusal(status: number, error: string, reason: string): Refusal {
  return new Refusal({ status, body: { reason, error } })
}

/** Zoom's numbered refusals of the token endpoint, worded so that a reader of `reason` finds the number too. */
const NUMBERED: Record<number, { error: string; reason: string; status?: number }> = {
  4700: { error: 'invalid_request', reason: 'Token cannot be empty.' },
  4702: { error: 'invalid_client', reason: 'Invalid client.' },
  4704: { error: 'invalid_client', reason: 'Invalid client secret.' },
  4705: { error: 'unsupported_grant_type', reason: 'Grant type is not supported.' },
  4706: { error: 'invalid_request', reason: 'Client ID, client secret or grant type is missing.' },
  4709: { error: 'invalid_request', reason: 'Redirect URI mismatch.' },
  4711: { error: 'invalid_request', reason: 'Refresh token scopes do not match those of the app.' },
  4717: { error: 'invalid_request', reason: 'The app has been disabled.' },
  4724: { error: 'invalid_request', reason: 'Invalid JWT token.' },
  4732: { error: 'invalid_request', reason: 'Internal error, try again.' },
  4733: { error: 'invalid_request', reason: 'The authorization code has expired.' },
  4734: { error: 'invalid_request', reason: 'Invalid authorization code.' },
  4735: { error: 'invalid_grant', reason: 'The owner of the token does not exist.' },
  4737: { error: 'invalid_grant', reason: 'The token does not exist.' },
  4738: { error: 'invalid_request', reason: 'The app has been disabled by the administrator.' },
  4740: { error: 'invalid_grant', reason: 'The token is outside its tolerance.' },
  4741: { error: 'invalid_grant', reason: 'The token has been revoked by a later authorization.' },
}

/** Zoom's numbered OAuth refusal. Where the number stands is not documented: it is sent as `code` and in `reason`. */
export function numberedRefusal(code: number, status?: number): Refusal {
  const known = NUMBERED[code] ?? { error: 'invalid_request', reason: 'Refused.' }
  return new Refusal({
    status: status ?? known.status ?? 400,
    body: { code, reason: `${known.reason} (${code})`, error: known.error },
  })
}
