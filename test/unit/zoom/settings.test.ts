import { expect, onTestFinished, test } from 'vitest'
import { createZoomHttp } from '../../../src/zoom/http.ts'
import { createZoomSettings } from '../../../src/zoom/settings.ts'
import { jsonAnswer, startRawServer } from '../../helpers/raw-server.ts'

/** Reads the settings where Zoom answers so; null closes the connection. */
async function read(answer: string | null, timeoutMs = 1000) {
  const server = await startRawServer((socket) => {
    if (answer === null) socket.destroy()
    else socket.write(answer)
  })
  const http = createZoomHttp({ baseUrl: `${server.url}/v2`, timeoutMs: 2000 })
  onTestFinished(() => http.close())
  return { outcome: await createZoomSettings({ http }).read('at-canary', timeoutMs), server }
}
const NONE = { localRecording: null, autoRecording: null, waitingRoom: null, joinBeforeHost: null }

test('what decides about waiting rooms and recording is read in one request, and nothing else of the answer', async () => {
  const { outcome, server } = await read(
    jsonAnswer(200, {
      schedule_meeting: { join_before_host: true, pmi_password: '123' },
      in_meeting: { waiting_room: true, chat: true },
      recording: { local_recording: false, auto_recording: 'cloud' },
      telephony: { telephony_regions: ['US'] },
    }),
  )
  const settings = { localRecording: false, autoRecording: 'cloud', waitingRoom: true, joinBeforeHost: true }
  expect(outcome).toEqual({ outcome: 'read', settings })
  expect(server.requests).toHaveLength(1)
  expect(server.requests[0]?.split(' ')[1]).toBe('/v2/users/me/settings')
})

test.each([
  [{}, NONE],
  [{ recording: null, in_meeting: 'x', schedule_meeting: [] }, NONE],
  [{ recording: { local_recording: 'yes', auto_recording: '<script>' } }, NONE],
  [
    { in_meeting: { waiting_room: false }, recording: { local_recording: 1 } },
    { ...NONE, waitingRoom: false },
  ],
])('a setting that %j does not name is unknown, and the others are not', async (body, settings) => {
  expect((await read(jsonAnswer(200, body))).outcome).toEqual({ outcome: 'read', settings })
})

test.each([
  [
    'a missing scope',
    jsonAnswer(400, { code: 4711, message: 'does not contain scopes:[user:read:settings].' }),
    'no_scope',
  ],
  ['a refused access token', jsonAnswer(401, { code: 124, message: 'Invalid access token.' }), 'unavailable'],
  ['a limit', jsonAnswer(429, { code: 429, message: 'Slow down.' }), 'unavailable'],
  ['trouble', jsonAnswer(500, {}), 'unavailable'],
  ['a list', jsonAnswer(200, []), 'unavailable'],
  ['a closed connection', null, 'unavailable'],
])('%s is an outcome, and the question is not repeated', async (_name, answer, expected) => {
  const { outcome, server } = await read(answer)
  expect(outcome).toEqual({ outcome: expected })
  expect(server.requests.length).toBeLessThanOrEqual(1)
})
