import { expect, test } from 'vitest'
import { createFlowCookies } from '../../../src/features/connect/flow-cookie.ts'

const plain = createFlowCookies({ isHttps: false })
const secure = createFlowCookies({ isHttps: true })
const nameOf = (setCookie: string) => setCookie.split('=')[0] ?? ''

test('on https the cookie is Secure and prefixed, on http neither; always HttpOnly, Lax, of one path and at most 10 minutes', () => {
  expect(secure.set('state', 'value')).toMatch(
    /^__Secure-latchkey_flow_[0-9a-f]{8}=value; Path=\/zoom\/oauth; Max-Age=600; HttpOnly; SameSite=Lax; Secure$/,
  )
  expect(plain.set('state', 'value')).toMatch(
    /^latchkey_flow_[0-9a-f]{8}=value; Path=\/zoom\/oauth; Max-Age=600; HttpOnly; SameSite=Lax$/,
  )
})

test('clearing names the same cookie with the same path and no life', () => {
  expect(nameOf(secure.clear('state'))).toBe(nameOf(secure.set('state', 'value')))
  expect(secure.clear('state')).toContain('Path=/zoom/oauth; Max-Age=0;')
})

test('two flows of one browser have cookies of different names', () => {
  expect(nameOf(plain.set('state one', 'x'))).not.toBe(nameOf(plain.set('state two', 'x')))
})

test('the binding is read among other cookies', () => {
  const name = nameOf(plain.set('state', 'x'))
  expect(plain.read('state', `a=1; ${name}=value ;b=2`)).toBe('value')
})

test('a missing, empty or foreign cookie, and one sent twice, bind nothing', () => {
  const name = nameOf(plain.set('state', 'x'))
  for (const header of [undefined, '', `${name}=`, `x${name}=value`, `${name}x=value`, `${name}=a; ${name}=b`, name])
    expect(plain.read('state', header)).toBeNull()
})
