import { describe, expect, test } from 'vitest'
import { parseZoomEvent } from '../../../src/zoom/events.ts'

const RECEIVED_AT = new Date('2026-11-24T12:00:00Z')
const HOST = 'KdYKjnimT4KPd8FFgQt9FQ'

function read(event: string, object: object, more: object = {}, eventTs: unknown = RECEIVED_AT.getTime() - 1000) {
  const body = { event, event_ts: eventTs, payload: { account_id: 'account', object, ...more } }
  return parseZoomEvent(Buffer.from(JSON.stringify(body)), RECEIVED_AT)
}
function wordsOf(event: string, object: object, more: object = {}) {
  const parsed = read(event, object, more)
  return parsed.kind === 'meeting'
    ? parsed.event.words.map(({ meetingId, zoomUserId }) => [meetingId, zoomUserId])
    : parsed.kind
}

describe('an event of a meeting', () => {
  test.each(['created', 'updated', 'recovered', 'started', 'ended'])(
    'that was %s tells its host, by a number or by text alike',
    (name) => {
      for (const id of [85996249517, '85996249517'])
        expect(wordsOf(`meeting.${name}`, { id, host_id: HOST })).toEqual([['85996249517', HOST]])
    },
  )

  test('tells of the personal number too, and once where it is the meeting’s own', () => {
    expect(wordsOf('meeting.created', { id: 85996249517, host_id: HOST, pmi: '1234567890' })).toEqual([
      ['85996249517', HOST],
      ['1234567890', HOST],
    ])
    expect(wordsOf('meeting.started', { id: '1234567890', host_id: HOST, pmi: 1234567890 })).toEqual([
      ['1234567890', HOST],
    ])
  })

  test('is the host’s, never that of who scheduled it for them', () => {
    expect(wordsOf('meeting.created', { id: 85996249517, host_id: HOST }, { operator_id: 'assistant' })).toEqual([
      ['85996249517', HOST],
    ])
    expect(wordsOf('meeting.created', { id: 85996249517 }, { operator_id: 'assistant' })).toEqual([])
  })

  test.each(['meeting.deleted', 'meeting.permanently_deleted'])(
    '%s tells that it is gone, but not where one occurrence is, nor of the host’s personal room',
    (name) => {
      expect(wordsOf(name, { id: 85996249517, host_id: HOST, pmi: '1234567890' })).toEqual([['85996249517', null]])
      expect(wordsOf(name, { id: 85996249517 })).toEqual([['85996249517', null]])
      const occurrences = [{ occurrence_id: '1', start_time: '2026-12-01T10:00:00Z' }]
      expect(wordsOf(name, { id: 85996249517, host_id: HOST, occurrences })).toEqual([])
      expect(wordsOf(name, { id: 1234567890, host_id: HOST, pmi: '1234567890' })).toEqual([])
    },
  )

  test('updated without a host leaves the map as it is', () => {
    expect(wordsOf('meeting.updated', { id: 85996249517, topic: 'New' })).toEqual([])
  })

  test.each([{}, { id: '1' }, { id: 1.5 }, { id: null }, { id: 'abc' }, { id: '1234567890123' }, { id: { a: 1 } }])(
    'with %j in place of a meeting is malformed',
    (object) => expect(wordsOf('meeting.created', { host_id: HOST, ...object })).toBe('malformed'),
  )

  test('keeps Zoom’s time, also where Zoom’s clock is ahead, but takes none from far off', () => {
    const at = (eventTs: unknown) => {
      const parsed = read('meeting.started', { id: '85996249517', host_id: HOST }, {}, eventTs)
      return parsed.kind === 'meeting' ? parsed.event.at.getTime() - RECEIVED_AT.getTime() : null
    }
    expect(at(RECEIVED_AT.getTime() - 60_000)).toBe(-60_000)
    expect(at(RECEIVED_AT.getTime() + 60_000)).toBe(60_000)
    expect(at(RECEIVED_AT.getTime() + 86_400_000)).toBe(300_000)
    for (const none of [null, 'soon', 5]) expect(at(none)).toBe(0)
  })

  test('holds nothing of what was said besides', () => {
    const secret = { topic: 'Layoffs', password: 'pass-1', join_url: 'https://zoom.us/j/85996249517?pwd=pass-2' }
    const parsed = read('meeting.created', { id: 85996249517, host_id: HOST, ...secret }, { operator: 'a@example.com' })
    expect(JSON.stringify(parsed)).not.toMatch(/Layoffs|pass-|zoom\.us|example/)
  })
})

describe('user.updated', () => {
  test('moves the personal number', () => {
    const moved = { old_object: { id: HOST, pmi: 1111111111 } }
    expect(wordsOf('user.updated', { id: HOST, pmi: 2222222222 }, moved)).toEqual([
      ['1111111111', null],
      ['2222222222', HOST],
    ])
  })

  test('without a change of the number leaves the map as it is', () => {
    expect(wordsOf('user.updated', { id: HOST, dept: 'x' }, { old_object: { id: HOST, dept: 'y' } })).toEqual([])
    expect(wordsOf('user.updated', { id: HOST, pmi: 1111111111 }, { old_object: { pmi: '1111111111' } })).toEqual([])
  })
})
