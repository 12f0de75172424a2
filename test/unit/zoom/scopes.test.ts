import { expect, test } from 'vitest'
import { retryAfterSeconds } from '../../../src/zoom/retry-after.ts'
import { degradedParts, missingScopes } from '../../../src/zoom/scopes.ts'

const GUIDE = ['meeting:read:local_recording_token', 'user:read:token', 'user:read:zak']

test('the scopes of the guide miss nothing and leave every optional part degraded', () => {
  expect(missingScopes(GUIDE, ['join', 'obf', 'zak'])).toEqual([])
  expect(degradedParts(GUIDE)).toEqual(['profile', 'sync', 'settings'])
})

test('nothing granted misses the granular scope of each kind, once', () => {
  expect(missingScopes([], ['join', 'obf', 'zak'])).toEqual(GUIDE)
  expect(missingScopes([], ['obf', 'obf'])).toEqual(['user:read:token'])
  expect(missingScopes([], [])).toEqual([])
})

test.each([
  ['join', ['meeting:read:local_recording_token:admin']],
  ['join', ['meeting_token:read:local_recording']],
  ['join', ['meeting_token:read:admin:local_recording']],
  ['obf', ['user:read:token:admin']],
  ['obf', ['user:read:token:master']],
  ['obf', ['user:read']],
  ['obf', ['user:read:admin']],
  ['zak', ['user:read:zak:admin']],
  ['zak', ['user_zak:read']],
  ['zak', ['user:read:token']],
] as const)('%s is content with %j', (kind, granted) => {
  expect(missingScopes([...granted], [kind])).toEqual([])
})

test('a ZAK scope does not open OBF, nor a similar name anything', () => {
  expect(missingScopes(['user:read:zak', 'user:read:tokens', 'user:read:user'], ['join', 'obf'])).toEqual(
    GUIDE.slice(0, 2),
  )
})

test('each optional part is restored by its own scope, granular, admin or classic', () => {
  expect(degradedParts(['user:read:user', 'meeting:read:list_meetings', 'user:read:settings'])).toEqual([])
  expect(degradedParts(['user:read:user:admin'])).toEqual(['sync', 'settings'])
  expect(degradedParts(['meeting:read:list_meetings:admin'])).toEqual(['profile', 'settings'])
  expect(degradedParts(['user:read:settings:admin'])).toEqual(['profile', 'sync'])
  expect(degradedParts(['user:read', 'meeting:read'])).toEqual([])
})

const NOW_MS = Date.parse('2026-03-02T10:00:00Z')
test.each([
  [undefined, 1],
  ['', 1],
  ['0', 1],
  ['1', 1],
  ['30', 30],
  [' 30 ', 30],
  ['60', 60],
  ['61', 60],
  ['999999999', 60],
  ['9'.repeat(40), 1],
  ['-5', 1],
  ['1.5', 1],
  ['soon', 1],
  ['1e2', 1],
  ['Mon, 02 Mar 2026 10:00:20 GMT', 20],
  ['Mon, 02 Mar 2026 09:00:00 GMT', 1],
  ['Tue, 03 Mar 2026 00:00:00 GMT', 60],
  ['Mon, 99 Mar 2026 10:00:20 GMT', 1],
  ['2026-03-02T10:00:20Z', 20],
  ['2026-03-02T10:00:19.500Z', 20],
  ['2026-03-02T11:00:20+01:00', 20],
  ['2026-03-03T00:00:00Z', 60],
  ['2026-03-02T10:00:20', 1],
])('Retry-After %j means %i s', (value, seconds) => {
  expect(retryAfterSeconds(value === undefined ? {} : { 'retry-after': value }, NOW_MS)).toBe(seconds)
})
