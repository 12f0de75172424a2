import { describe, expect, test } from 'vitest'
import { type Cause, causesOf } from '../../../src/features/explain/causes.ts'
import type { Facts, HostFact, MintFact } from '../../../src/features/explain/facts.ts'

const NOW = new Date('2026-11-24T12:00:00Z')
const ago = (seconds: number) => new Date(NOW.getTime() - seconds * 1000)
const HOST: HostFact = {
  id: 'host-1',
  externalUserId: 'alice',
  status: 'connected',
  statusReason: null,
  missingScopes: [],
}
const mint = (kind: MintFact['kind'], more: Partial<MintFact> = {}): MintFact => ({
  kind,
  outcome: 'minted',
  reason: null,
  zoomCode: null,
  hostId: 'host-1',
  createdAt: ago(60),
  ...more,
})
const PASS = { kinds: ['join', 'obf'], onBehalfOf: [], joinAt: null } satisfies Facts['pass']
/** All is well: both tokens went out a minute ago, of the host. */
const facts = (more: Partial<Facts> = {}): Facts => ({
  meetingId: '85996249517',
  pass: PASS,
  mapping: { externalUserId: 'alice' },
  host: HOST,
  hasOrganization: false,
  roomOwner: null,
  mints: [mint('obf'), mint('join')],
  isLocalRecordingOn: true,
  now: NOW,
  ...more,
})
const briefly = (causes: Cause[]) => causes.map(({ cause, likelihood }) => `${likelihood} ${cause}`)
const refused = (outcome: string, zoomCode: number | null = null) =>
  facts({ mints: [mint('join', { outcome, zoomCode })] })

describe('the first cause named', () => {
  test.each<[string, string, Facts]>([
    // the ten, by number
    [
      '1: nobody said whose meeting it is',
      'certain meeting_not_mapped',
      facts({ mapping: null, host: null, mints: [] }),
    ],
    ['1: it was not mapped as the bot asked', 'likely meeting_not_mapped', refused('meeting_not_mapped')],
    [
      '2: the join token was fetched long before the meeting',
      'likely join_token_too_old',
      facts({ pass: { ...PASS, joinAt: new Date(NOW.getTime() + 600_000) } }),
    ],
    [
      '2: the bot waited for its other token for longer than the first one lives',
      'likely join_token_too_old',
      facts({ mints: [mint('obf'), mint('join', { createdAt: ago(200) })] }),
    ],
    [
      '3: there is no token in the pass that skips the waiting room',
      'likely no_bypass',
      facts({ pass: { ...PASS, kinds: ['obf'] }, mints: [mint('obf')] }),
    ],
    ['4: the mapped user is not the host', 'certain not_the_host', refused('not_the_host', 1010)],
    ['4: Zoom does not show the meeting to the mapped user', 'likely not_the_host', refused('meeting_not_found', 3001)],
    ['5: Zoom refused for local recording', 'certain local_recording_off', refused('local_recording_disabled', 3000)],
    ['5: Zoom’s settings say so', 'likely local_recording_off', facts({ isLocalRecordingOn: false })],
    [
      '6: the pass is for a join token alone',
      'likely host_token_missing',
      facts({ pass: { ...PASS, kinds: ['join'] }, mints: [mint('join')] }),
    ],
    [
      '6: the OBF token beside it was refused',
      'certain host_token_missing',
      facts({ mints: [mint('obf', { outcome: 'zoom_rate_limited_elsewhere' }), mint('join')] }),
    ],
    ['6: the bot never fetched it', 'likely host_token_missing', facts({ mints: [mint('join')] })],
    [
      '6: the OBF token is another user’s',
      'likely host_token_missing',
      facts({ mints: [mint('obf', { hostId: 'host-2' }), mint('join')] }),
    ],
    [
      '7: the bot keeps knocking for a user who is away',
      'likely obf_user_absent',
      facts({
        mints: [mint('obf'), mint('obf', { createdAt: ago(90) }), mint('obf', { createdAt: ago(120) }), mint('join')],
      }),
    ],
    ['9: the number is a webinar', 'certain webinar_or_encrypted', refused('webinar_unsupported', 3000)],
    [
      '10: the ZAK was of somebody else',
      'likely zak_not_the_hosts',
      facts({ pass: { ...PASS, kinds: ['join', 'zak'] }, mints: [mint('zak', { hostId: 'host-2' }), mint('join')] }),
    ],
    // what keeps a bot from being given a token at all
    ['the bot never asked', 'likely bot_did_not_ask', facts({ mints: [] })],
    ['the signature was wrong', 'certain request_refused', refused('unauthenticated')],
    ['the pass was for something else', 'certain request_refused', refused('pass_mismatch')],
    ['the host is not connected', 'certain host_not_connected', facts({ host: null })],
    [
      'the host must connect again',
      'certain host_not_connected',
      facts({ host: { ...HOST, status: 'reconnect_required', statusReason: 'rotation_lost' } }),
    ],
    ['the host was not connected as the bot asked', 'likely host_not_connected', refused('host_not_connected')],
    [
      'the host is blocked',
      'certain host_blocked',
      facts({ host: { ...HOST, status: 'blocked', statusReason: 'admin_disabled' } }),
    ],
    ['the host was blocked as the bot asked', 'likely host_blocked', refused('host_blocked')],
    ['Zoom missed a scope', 'certain missing_scope', refused('missing_scope', 4711)],
    [
      'a scope was not granted',
      'certain missing_scope',
      facts({ host: { ...HOST, missingScopes: ['user:read:token'] } }),
    ],
    ['the app is refused', 'certain app_misconfigured', refused('app_misconfigured')],
    ['Zoom was away', 'certain passing_trouble', refused('zoom_unavailable')],
    ['the process died', 'likely passing_trouble', refused('unknown')],
  ])('is the one that is there: %s', (_name, expected, given) => {
    expect(briefly(causesOf(given))[0]).toBe(expected)
  })
})

test('where nothing speaks for any, what cannot be seen from here is possible, and nothing else is named', () => {
  expect(briefly(causesOf(facts()))).toEqual([
    'possible local_recording_off',
    'possible join_token_too_old',
    'possible no_bypass',
    'possible obf_user_absent',
    'possible join_token_shared',
    'possible webinar_or_encrypted',
    'possible zak_not_the_hosts',
  ])
})

test('what is certain comes before what is likely, and that before what is possible', () => {
  const causes = causesOf(facts({ isLocalRecordingOn: false, host: { ...HOST, missingScopes: ['user:read:token'] } }))
  const order = causes.map(({ likelihood }) => likelihood)
  expect(order.slice(0, 3)).toEqual(['certain', 'likely', 'possible'])
  expect(order.lastIndexOf('certain')).toBeLessThan(order.indexOf('likely'))
  expect(order.lastIndexOf('likely')).toBeLessThan(order.indexOf('possible'))
})

test('every cause says what speaks for it and what to do next', () => {
  for (const { why, nextStep } of causesOf(facts()))
    expect([why, nextStep].every((text) => text.endsWith('.'))).toBe(true)
})

test('a refusal that a later token has made good is no cause any more', () => {
  const mints = [mint('obf'), mint('join'), mint('join', { outcome: 'not_the_host', createdAt: ago(500) })]
  expect(briefly(causesOf(facts({ mints })))).not.toContain('certain not_the_host')
})

test('an organization makes up for a host who must reconnect, for the join token alone', () => {
  const host: HostFact = { ...HOST, status: 'reconnect_required', statusReason: 'expired' }
  const causes = causesOf(facts({ host, hasOrganization: true }))
  expect(causes[0]).toMatchObject({ cause: 'host_not_connected', likelihood: 'likely' })
  expect(causes[0]?.why).toContain('The organization makes the join token, and no other.')
})

test('a meeting of an organization that is not connected any more waits for its admin', () => {
  const given = facts({ mapping: { externalUserId: null }, host: null, mints: [] })
  expect(briefly(causesOf(given))[0]).toBe('certain host_not_connected')
  const pass = { ...PASS, kinds: ['join' as const] }
  expect(briefly(causesOf({ ...given, pass, hasOrganization: true }))).not.toContain('certain host_not_connected')
})

test('a meeting of a connected organization still waits for its host, where the pass is for a token of the host’s own', () => {
  const given = facts({ mapping: { externalUserId: null }, host: null, mints: [], hasOrganization: true })
  const [first] = causesOf({ ...given, pass: { ...PASS, kinds: ['join', 'obf'] } })
  expect(first).toMatchObject({ cause: 'host_not_connected', likelihood: 'certain' })
  expect(first?.why).toContain('its host has to connect for obf.')
  const named = causesOf({ ...given, pass: { ...PASS, kinds: ['join', 'obf'], onBehalfOf: ['bob'] } })
  expect(briefly(named)).not.toContain('certain host_not_connected')
})

test('a pass whose OBF users are named needs no mapping, unless it is for a join token too', () => {
  const pass = { ...PASS, kinds: ['obf' as const], onBehalfOf: ['bob'] }
  const causes = briefly(causesOf(facts({ pass, mapping: null, host: null, mints: [mint('obf')] })))
  expect(causes).not.toContain('certain meeting_not_mapped')
})

test('a bot that is not due yet is not said to have failed', () => {
  const pass = { ...PASS, joinAt: new Date(NOW.getTime() + 3_600_000) }
  expect(briefly(causesOf(facts({ pass, mints: [] })))).toEqual(['possible bot_did_not_ask'])
})

test('what came of asking Zoom whose meeting it is, is told with it', () => {
  for (const reason of ['looked_up', 'lookup_incomplete', 'quota', 'mapping_deleted']) {
    const mints = [mint('join', { outcome: 'meeting_not_mapped', reason })]
    const [first] = causesOf(facts({ mapping: null, host: null, mints }))
    expect([first?.cause, first?.why.includes('Zoom was')]).toEqual(['meeting_not_mapped', true])
  }
})

test('somebody’s personal room that is not mapped is named as theirs', () => {
  const [first] = causesOf(facts({ mapping: null, host: null, roomOwner: 'alice' }))
  expect(first?.why).toContain('personal room of "alice"')
})
