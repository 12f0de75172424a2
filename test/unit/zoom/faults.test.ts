import { describe, expect, test } from 'vitest'
import { isAccessTokenRefused, isMissingScope, mintFault, tokenRefusalOf } from '../../../src/zoom/faults.ts'
import type { ZoomReply } from '../../../src/zoom/http.ts'
import type { TokenKind } from '../../../src/zoom/scopes.ts'

const reply = (status: number, body?: unknown, headers: Record<string, string> = {}): ZoomReply => ({
  status,
  headers,
  body,
})
const codeOf = (answer: ZoomReply, kind: TokenKind = 'join') => mintFault(answer, { kind }).code
const SCOPES = 'Invalid access token, does not contain scopes:[meeting:read:local_recording_token].'
const NO_RECORDING = 'Not allowed to start local recording. Please check the settings.'

describe('a refused mint', () => {
  test.each([
    [401, 124, 'Invalid access token.', 'zoom_unavailable'],
    [400, 124, 'This API only supports OAuth2 authorization.', 'zoom_unavailable'],
    [400, 4711, SCOPES, 'missing_scope'],
    [401, 4711, SCOPES, 'missing_scope'],
    [400, 4711, '', 'missing_scope'],
    [401, 124, SCOPES, 'missing_scope'],
    [400, 4700, 'No scopes', 'missing_scope'],
    [400, 4700, 'You are not authorized to do this.', 'not_the_host'],
    [400, 300, 'Validation Failed.', 'meeting_not_found'],
    [400, 300, 'Invalid meeting ID.', 'meeting_not_found'],
    [404, 300, 'Meeting ID does not exist.', 'meeting_not_found'],
    [404, 3001, 'Meeting does not exist: 85996249517.', 'meeting_not_found'],
    [400, 3000, 'Cannot access Webinar information.', 'webinar_unsupported'],
    [400, 3000, NO_RECORDING, 'local_recording_disabled'],
    [400, 3000, 'Cannot access meeting information.', 'not_the_host'],
    [400, 3161, 'Not allowed to host meetings.', 'not_the_host'],
    [404, 1001, 'User does not exist.', 'not_the_host'],
    [404, 1010, 'User does not belong to this account.', 'not_the_host'],
    [403, 98765, 'A code of the future.', 'not_the_host'],
    [500, 1, 'Internal', 'zoom_unavailable'],
    [503, 3001, 'A gateway may say anything.', 'zoom_unavailable'],
  ])(
    '%i with code %i, %j, is %s with status and code kept and the text left behind',
    (status, code, message, expected) => {
      const fault = mintFault(reply(status, { code, message }), { kind: 'join' })
      expect(fault).toMatchObject({ code: expected, zoomStatus: status, zoomCode: code })
      if (message) expect(`${fault.message}${fault.cause}`).not.toContain(message)
    },
  )

  test.each([
    [400, undefined],
    [403, '<html>'],
    [404, {}],
    [404, null],
    [404, { code: 'x', message: 5 }],
    [400, []],
    [200, { token: '' }],
    [204, undefined],
    [302, { code: 3001 }],
    [500, undefined],
  ])('%i with the body %j is zoom_unavailable: nothing of it is a word about the meeting', (status, body) => {
    const fault = mintFault(reply(status, body), { kind: 'obf' })
    expect([fault.code, fault.zoomStatus]).toEqual(['zoom_unavailable', status])
  })

  test('names the scope that the kind needs', () => {
    const fault = (kind: TokenKind) => mintFault(reply(400, { code: 4711, message: SCOPES }), { kind }).message
    expect(fault('join')).toContain('meeting:read:local_recording_token')
    expect(fault('obf')).toContain('user:read:token')
    expect(fault('zak')).toContain('user:read:zak')
  })

  test('is never about a meeting where the request named none', () => {
    expect(codeOf(reply(400, { code: 300, message: 'Validation Failed.' }), 'zak')).toBe('zoom_unavailable')
    expect(codeOf(reply(400, { code: 300, message: 'Validation Failed.' }), 'obf')).toBe('meeting_not_found')
  })

  test('by 429 is zoom_rate_limited with a bounded wait', () => {
    expect(mintFault(reply(429, { code: 429 }, { 'retry-after': '7' }), { kind: 'zak' })).toMatchObject({
      code: 'zoom_rate_limited',
      retryAfterSeconds: 7,
      zoomStatus: 429,
    })
    expect(mintFault(reply(429, undefined, { 'retry-after': '86400' }), { kind: 'zak' }).retryAfterSeconds).toBe(60)
  })
})

describe('the access token', () => {
  test.each([
    [401, { code: 124, message: 'Access token is expired.' }, true],
    [401, undefined, true],
    [401, { message: 'no code' }, true],
    [401, { code: 124, message: SCOPES }, false],
    [401, { code: 4711, message: SCOPES }, false],
    [401, { code: 3001, message: '' }, false],
    [400, { code: 124, message: 'This API only supports OAuth2 authorization.' }, false],
    [403, { code: 124 }, false],
    [200, { code: 124 }, false],
  ])('by %i %j counts as refused: %s', (status, body, isRefused) => {
    expect(isAccessTokenRefused(reply(status, body))).toBe(isRefused)
  })

  test('lacks a scope only by an answer that is a refusal', () => {
    expect(isMissingScope(reply(400, { code: 4711 }))).toBe(true)
    expect(isMissingScope(reply(200, { code: 4711 }))).toBe(false)
    expect(isMissingScope(reply(503, { code: 4711 }))).toBe(false)
    expect(isMissingScope(reply(400, { message: SCOPES }))).toBe(false)
  })
})

describe('the table of the token endpoint', () => {
  const refusal = (body: unknown) => tokenRefusalOf(reply(400, body))
  const grant = (reason: string, bare: boolean) => ({ about: 'grant', reason, bare })

  test.each([
    [{ error: 'invalid_grant', reason: 'Invalid Token!' }, grant('invalid_grant', true)],
    [{ error: 'invalid_grant' }, grant('invalid_grant', true)],
    [{ error: 'invalid_request', reason: 'Invalid Token!' }, grant('invalid_grant', true)],
    [{ error: 'invalid_request', reason: 'Missing parameter' }, { about: 'unknown' }],
    [{ error: 'invalid_request' }, { about: 'unknown' }],
    [{ error: 'server_is_sad' }, { about: 'unknown' }],
    [
      { error: 'invalid_client', reason: 'Invalid client_id or client_secret' },
      { about: 'app', isCredentials: true },
    ],
    [{ error: 'unauthorized_client' }, { about: 'app', isCredentials: false }],
    [{ error: 'invalid_request', reason: 'Invalid authorization code 4741-4735' }, { about: 'code' }],
    [{ error: 'invalid_grant', reason: 'Invalid authorization code 4741' }, { about: 'code' }],
    [{ code: 4711, reason: 'x' }, grant('scopes_changed', false)],
    [{ code: 4735, reason: 'x' }, grant('user_removed', false)],
    [{ code: 4737, reason: 'x' }, grant('token_not_found', false)],
    [{ code: 4740, reason: 'x' }, grant('outside_tolerance', true)],
    [{ code: 4741, error: 'invalid_grant' }, grant('superseded', true)],
    [{ code: '4741', error: 'invalid_grant' }, grant('superseded', true)],
    [{ error: 'invalid_grant', reason: 'Token owner was removed (4735)' }, grant('user_removed', false)],
    [{ error: '4738', reason: '' }, { about: 'user' }],
    [{ code: 4738 }, { about: 'user' }],
    [{ code: 4702 }, { about: 'app', zoomCode: 4702, isCredentials: true }],
    [{ code: 4704 }, { about: 'app', zoomCode: 4704, isCredentials: true }],
    [{ code: 4706 }, { about: 'app', zoomCode: 4706, isCredentials: false }],
    [{ code: 4709 }, { about: 'app', zoomCode: 4709, isCredentials: false }],
    [{ code: 4717 }, { about: 'app', zoomCode: 4717, isCredentials: false }],
    [{ code: 4733 }, { about: 'code' }],
    [{ code: 4734 }, { about: 'code' }],
    [{ code: 4700, error: 'invalid_grant' }, { about: 'unknown' }],
    [{ code: 4732 }, { about: 'unknown' }],
    [{ code: 4705 }, { about: 'unknown' }],
    [{ code: 4724 }, { about: 'unknown' }],
    [{ code: 400, error: 'invalid_grant' }, grant('invalid_grant', true)],
    [{ code: 'bad', error: 'invalid_grant' }, grant('invalid_grant', true)],
    [{ error: 'invalid_grant', reason: 'id 474199' }, grant('invalid_grant', true)],
    [{ error: 5, reason: 'x' }, { about: 'unknown' }],
  ])('%j', (body, expected) => {
    expect(refusal(body)).toEqual(expected)
  })

  test.each([undefined, null, 'x', [], {}, { message: 'Forbidden' }, { status: 403 }])(
    '%j is no answer of it',
    (body) => {
      expect(refusal(body)).toBeNull()
    },
  )
})
