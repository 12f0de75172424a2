import { createHmac } from 'node:crypto'
import { describe, expect, test } from 'vitest'
import { rows } from '../helpers/connect.ts'
import { exchange, hostileApp, http, JSON_LINE, MARK, type Row } from '../helpers/hostile.ts'
import { unique } from '../helpers/management.ts'
import { deauthorization, WEBHOOK_SECRET } from '../helpers/zoom-events.ts'

const h = await hostileApp()
const { t, seconds } = h
const EVENT = JSON.stringify({ event: 'meeting.started', event_ts: 1, payload: { mark: MARK } })
const hexOf = (body: string | Buffer, timestamp: string, secret = WEBHOOK_SECRET) =>
  createHmac('sha256', secret).update(`v0:${timestamp}:`).update(body).digest('hex')

interface Sent {
  body?: string | Buffer
  timestamp?: string
  /** In place of the right one, which it is given. */
  signature?: (hex: string) => string
  secret?: string
  lines?: string[]
  path?: string
}

/** An event as Zoom sends it, right but for what is given. */
function event({ body = EVENT, signature = (hex) => `v0=${hex}`, lines = [], ...sent }: Sent = {}): Buffer {
  const { timestamp = String(seconds()), secret, path = '/zoom/webhook' } = sent
  const signed = [
    `x-zm-signature: ${signature(hexOf(body, timestamp, secret))}`,
    `x-zm-request-timestamp: ${timestamp}`,
  ]
  const length = `Content-Length: ${Buffer.byteLength(body)}`
  return Buffer.concat([Buffer.from(http(`POST ${path}`, [JSON_LINE, ...signed, length, ...lines])), Buffer.from(body)])
}
const spelt = (signature: (hex: string) => string) => () => event({ signature })
const without = (name: string) => () => {
  const text = event().toString()
  return text.replace(new RegExp(`${name}: [^\r]*\r\n`), '')
}
const body = (value: unknown) => () => event({ body: typeof value === 'string' ? value : JSON.stringify(value) })
const at = (shift: number) => () => event({ timestamp: String(seconds() + shift) })

describe('an event whose signature is not that of these bytes is 401, and nothing of it is kept:', () => {
  h.table([
    ['#173 no headers', () => without('x-zm-signature')().replace(/x-zm-request-timestamp: .*\r\n/, ''), 401],
    ['#173 no signature', without('x-zm-signature'), 401],
    ['#173 no timestamp', without('x-zm-request-timestamp'), 401],
    ['#173 v0= and nothing', spelt(() => 'v0='), 401],
    ['#173 upper case', spelt((hex) => `v0=${hex.toUpperCase()}`), 401],
    ['#173 V0=', spelt((hex) => `V0=${hex}`), 401],
    ['#173 63 digits', spelt((hex) => `v0=${hex.slice(0, -1)}`), 401],
    ['#173 65 digits', spelt((hex) => `v0=${hex}0`), 401],
    ['#173 v1=', spelt((hex) => `v1=${hex}`), 401],
    ['#173 no label', spelt((hex) => hex), 401],
    ['#173 base64', spelt((hex) => `v0=${Buffer.from(hex, 'hex').toString('base64')}`), 401],
    ['#173 two in one line', spelt((hex) => `v0=${hex},v0=${hex}`), 401],
    ['#173 zeros', spelt(() => `v0=${'0'.repeat(64)}`), 401],
    ['#173 of another secret', () => event({ secret: 'another' }), 401],
    ['#173 of an empty secret', () => event({ secret: '' }), 401],
    ['#173 two signature lines', () => event({ lines: [`x-zm-signature: v0=${'0'.repeat(64)}`] }), 401],
    ['#173 two timestamp lines', () => event({ lines: [`x-zm-request-timestamp: ${seconds()}`] }), 401],
    ['#174 the right one, of JSON written again', spelt(() => `v0=${rewritten()}`), 401],
    [
      '#174 the right one, of the body with a space more',
      () =>
        Buffer.from(
          event()
            .toString()
            .replace(EVENT, `${EVENT.slice(0, -1)} `),
        ),
      401,
    ],
  ])
})

const rewritten = () => hexOf(JSON.stringify(JSON.parse(EVENT), null, 1), String(seconds()))

describe('a timestamp is one of Zoom’s last two hours, in plain seconds:', () => {
  const signed = (timestamp: () => string) => () => event({ timestamp: timestamp() })
  h.table([
    ['#173 2 hours ago', at(-7200), 204],
    ['#173 2 hours and a second ago', at(-7201), 401],
    ['#173 5 minutes ahead', at(300), 204],
    ['#173 5 minutes and a second ahead', at(301), 401],
    ['#173 milliseconds', signed(() => `${seconds()}000`), 401],
    ['#173 a zero before it', signed(() => `0${seconds()}`), 401],
    ['#173 a fraction', signed(() => `${seconds()}.0`), 401],
    ['#173 junk after it', signed(() => `${seconds()}junk`), 401],
    ['#173 1e9', signed(() => '1e9'), 401],
  ])
})

describe('an authentic event that says nothing usable is acknowledged and ignored, with no request to Zoom:', () => {
  const odd = [
    null,
    5,
    [],
    {},
    'x',
    { object: null },
    { object: [] },
    { object: { id: {} } },
    { user_id: { $ne: null } },
  ]
  h.table([
    ['#147 not JSON', body('hello'), 204],
    ['#147 half of it', body('{"event":"app_deauthorized"'), 204],
    ['#147 empty', body(''), 204],
    ['#147 no UTF-8', () => event({ body: Buffer.from([0x7b, 0xff, 0xfe, 0x7d]) }), 204],
    ['#147 7,000 arrays in each other', body('['.repeat(7000)), 204],
    ['#147 null', body('null'), 204],
    ['#177 no event', body({ payload: {} }), 204],
    ['#177 an event that is no text', body({ event: 5, payload: {} }), 204],
    ['#177 an event of 10,000 letters', body({ event: MARK.repeat(800), payload: {} }), 204],
    ['#177 __proto__ for an event', body({ event: '__proto__', payload: {} }), 204],
    ...odd.flatMap((payload): Row[] =>
      ['app_deauthorized', 'user.deleted', 'meeting.updated', 'user.updated'].map((name) => {
        return [`#177 ${name} with ${JSON.stringify(payload)}`, body({ event: name, event_ts: 1, payload }), 204]
      }),
    ),
    ['#177 a NUL in an id', body(deauthorization('a\0b', 'c\0d')), 204],
    ['#177 a time that is none', body({ ...deauthorization('a', 'b'), event_ts: 'soon' }), 204],
    ['#177 a time of 10^400', body(`{"event":"user.deleted","event_ts":1${'0'.repeat(400)},"payload":{}}`), 204],
    [
      '#177 1,000 fields more',
      body({ event: 'x', payload: Object.fromEntries(Array.from({ length: 1000 }, (_, i) => [i, i])) }),
      204,
    ],
    ['#176 of a user whom nobody knows', body(deauthorization(unique(), unique())), 204],
  ])
})

test('#175 the same bytes again are acknowledged and stored once', async () => {
  const bytes = event({ body: JSON.stringify(deauthorization(unique(), unique())) })
  const count = async () => (await rows(t, 'SELECT FROM zoom_events')).length
  const before = await count()
  for (let time = 0; time < 3; time++) expect((await exchange(h.port, bytes)).status).toBe(204)
  expect(await count()).toBe(before + 1)
})

test('#177 what came above is worked off without one error, and the host still mints', async () => {
  const before = t.log.length
  await t.services.zoomEvents.processAcrossTenants()
  expect(await rows(t, 'SELECT FROM zoom_events WHERE processed_at IS NULL')).toEqual([])
  expect(t.log.slice(before).filter((line) => JSON.parse(line).level >= 50)).toEqual([])
  await h.expectAlive()
})
h.counted(2)
