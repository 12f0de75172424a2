import { describe, expect, test } from 'vitest'
import { parseSource, type Source } from '../../src/cli/import-sources.ts'
import { createProgress } from '../../src/cli/progress.ts'

const row = (place: string, externalUserId: string, refreshToken: string) => ({ place, externalUserId, refreshToken })
const rowsOf = (source: Source, text: string, path?: string) => {
  const { rows, problems } = parseSource(source, text, path)
  expect(problems).toEqual([])
  return rows
}
const jwt = (claims: object) => `e30.${Buffer.from(JSON.stringify(claims)).toString('base64url')}.sig`

describe('csv', () => {
  test('columns are found by their names, quoted fields may hold commas, quotes and line ends, and each row knows its line', () => {
    const text =
      '\uFEFFemail,refresh_token,external_user_id\r\n' +
      'a@x.com,t1,"Doe, ""Jane"""\r\n' +
      '"two\nlines",t2,u2\n' +
      '\n' +
      'c@x.com, t3 ,u3'
    expect(rowsOf('csv', text)).toEqual([
      row('line 2', 'Doe, "Jane"', 't1'),
      row('line 3', 'u2', 't2'),
      row('line 6', 'u3', 't3'),
    ])
  })

  test('every faulty row is named by its line, without its token, and there are no rows to send', () => {
    const text =
      'external_user_id,refresh_token\nu1,secret-1\n,secret-2\nu3,\nu1,secret-4\nu5,secret-1\nu6,with space\n'
    const { problems } = parseSource('csv', text)
    expect(problems).toEqual([
      'line 3: no external_user_id of 1 to 200 characters',
      'line 4: no refresh_token',
      'line 5: the same external_user_id as line 2',
      'line 6: the same refresh_token as line 2',
      'line 7: no refresh_token',
    ])
    expect(problems.join('')).not.toContain('secret')
  })

  test.each([
    ['', 'the file is empty'],
    ['user,token\na,b\n', 'line 1: the header must name external_user_id and refresh_token'],
    ['external_user_id,refresh_token\n"a,b\n', 'line 2: a quoted field does not end'],
  ])('%j is refused', (text, problem) => {
    expect(parseSource('csv', text).problems).toEqual([problem])
  })
})

describe('attendee', () => {
  const lines = [
    { object_id: 'zoc_1', user_id: 'z1', state: 1, metadata: { user: 'u1' }, refresh_token: 't1' },
    { object_id: 'zoc_2', user_id: 'z2', state: 2, metadata: null, refresh_token: null },
  ]
  test('JSON lines and an array are read alike; disconnected ones are passed over', () => {
    const asLines = lines.map((line) => JSON.stringify(line)).join('\n')
    expect(rowsOf('attendee', asLines)).toEqual([row('line 1', 'z1', 't1')])
    expect(rowsOf('attendee', JSON.stringify(lines))).toEqual([row('entry 1', 'z1', 't1')])
    expect(parseSource('attendee', asLines).skipped).toBe(1)
  })
  test('the tenant’s own id may be in the metadata', () => {
    expect(rowsOf('attendee', JSON.stringify(lines), 'metadata.user')).toEqual([row('entry 1', 'u1', 't1')])
  })
  test('a line that is no JSON, and an entry that is no object, are named', () => {
    expect(parseSource('attendee', '{"user_id":"a"}\nnot json').problems).toEqual(['line 2: expected JSON'])
    expect(parseSource('attendee', '[1]').problems).toEqual(['entry 1: expected a JSON object'])
  })
})

describe('nango', () => {
  test('the end user’s id is taken, else the connection’s; a connection without its refresh token is a problem', () => {
    const connections = [
      { connection_id: 'c1', end_user: { id: 'u1' }, credentials: { type: 'OAUTH2', refresh_token: 't1' } },
      { connection_id: 'c2', end_user: null, credentials: { type: 'OAUTH2', refresh_token: 't2' } },
    ]
    expect(rowsOf('nango', JSON.stringify({ connections }))).toEqual([
      row('entry 1', 'u1', 't1'),
      row('entry 2', 'c2', 't2'),
    ])
    const without = JSON.stringify([{ connection_id: 'c3', credentials: { access_token: 'a' } }])
    expect(parseSource('nango', without).problems).toEqual(['entry 1: no refresh_token'])
  })
})

describe('recall-sample', () => {
  test('a bare token and the token endpoint’s answer go by the token’s own Zoom user id, the app’s map by its user id', () => {
    const token = jwt({ uid: 'zoom-user', aid: 'account' })
    expect(rowsOf('recall-sample', `${token}\n`)).toEqual([row('line 1', 'zoom-user', token)])
    const answer = JSON.stringify({ access_token: 'a', refresh_token: token, expires_in: 3600 })
    expect(rowsOf('recall-sample', answer)).toEqual([row('entry 1', 'zoom-user', token)])
    const users = JSON.stringify([{ visibleUserId: 'u1', refreshToken: 't1' }])
    expect(rowsOf('recall-sample', users)).toEqual([row('entry 1', 'u1', 't1')])
  })
  test('an opaque token alone says not whose it is', () => {
    expect(parseSource('recall-sample', 'opaque').problems).toEqual([
      'line 1: no external_user_id of 1 to 200 characters',
    ])
  })
})

test('progress is a bar on a terminal, and a line for each tenth elsewhere', () => {
  const [lines, drawn]: [string[], string[]] = [[], []]
  const say = (line: string) => void lines.push(line)
  const plain = createProgress({ say, draw: null, columns: 80 }, 100)
  for (let done = 0; done <= 100; done++) plain.show(done, 'x')
  expect(lines).toHaveLength(11)
  const bar = createProgress({ say, draw: (text) => void drawn.push(text), columns: 80 }, 100)
  bar.show(50, 'connected 50')
  expect(drawn.join('')).toContain('[############------------] 50/100 connected 50')
})
