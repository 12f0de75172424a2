import { expect, test } from 'vitest'
import { type ZoomReply, type ZoomRequest, ZoomTransportError } from '../../../src/zoom/http.ts'
import { createZoomMeetingOwner } from '../../../src/zoom/meeting-owner.ts'

const SCOPES = 'Invalid access token, does not contain scopes:[meeting:read:meeting].'
const MEETING = { id: 85996249517, host_id: 'KdYKjnimT4KPd8FFgQt9FQ', topic: 'Secret plans', password: 'hunter2' }

async function ask(status: number, body?: unknown) {
  const sent: ZoomRequest[] = []
  const http = {
    async send(request: ZoomRequest): Promise<ZoomReply> {
      sent.push(request)
      return { status, headers: {}, body }
    },
  }
  const told = await createZoomMeetingOwner({ http }).ownerOf({
    meetingId: '85996249517',
    accessToken: 'access-token',
    timeoutMs: 700,
  })
  return { told, sent }
}

test('tells the host of a meeting that Zoom shows and nothing else of it, asked once', async () => {
  const { told, sent } = await ask(200, MEETING)
  expect(told).toEqual({ answer: 'shown', zoomUserId: MEETING.host_id })
  expect(sent).toMatchObject([{ method: 'GET', path: '/meetings/85996249517', timeoutMs: 700 }])
})

test.each([
  [404, 3001, 'Meeting does not exist: 85996249517.', 'not_shown'],
  [404, 300, 'Meeting ID does not exist.', 'not_shown'],
  [400, 3000, 'Cannot access Webinar information.', 'not_shown'],
  [404, 1010, 'User does not belong to this account.', 'not_shown'],
  [400, 4700, 'You are not authorized to do this.', 'not_shown'],
  [403, 98765, 'A code of the future.', 'not_shown'],
  [400, 4711, SCOPES, 'no_scope'],
  [401, 4711, SCOPES, 'no_scope'],
  [400, 4700, 'No scopes', 'no_scope'],
  [401, 124, 'Invalid access token.', 'unknown'],
  [400, 124, 'This API only supports OAuth2 authorization.', 'unknown'],
  [401, 3001, 'Meeting does not exist.', 'unknown'],
  [429, 429, 'Too many requests', 'unknown'],
  [500, 3001, 'A gateway may say anything.', 'unknown'],
])('%i with code %i, %j, is %s', async (status, code, message, answer) => {
  expect((await ask(status, { code, message })).told).toEqual({ answer })
})

test.each([
  [200, {}],
  [200, { host_id: 5 }],
  [200, { host_id: 'a b' }],
  [200, '<html>'],
  [204, undefined],
  [302, undefined],
  [404, '<html>'],
  [404, {}],
])('%i with the body %j says nothing of the meeting', async (status, body) => {
  expect((await ask(status, body)).told).toEqual({ answer: 'unknown' })
})

test('no answer says nothing, and a number that is none is never sent', async () => {
  const http = {
    send: () => Promise.reject(new ZoomTransportError('timeout', 'DEADLINE')),
  }
  const { ownerOf } = createZoomMeetingOwner({ http })
  const asked = { accessToken: 'access-token', timeoutMs: 700 }
  expect(await ownerOf({ ...asked, meetingId: '85996249517' })).toEqual({ answer: 'unknown' })
  const path = '..%2Fusers%2Fme%2Ftoken%3Ftype%3Dzak'
  await expect(ownerOf({ ...asked, meetingId: path })).rejects.toMatchObject({ code: 'invalid_request' })
})
