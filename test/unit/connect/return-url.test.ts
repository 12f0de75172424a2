import { describe, expect, test } from 'vitest'
import { returnUrlFault, withResult } from '../../../src/features/connect/return-url.ts'

const anywhere = { allowsHttpOnLoopback: true, origins: [] }
const production = { allowsHttpOnLoopback: false, origins: [] }
const listed = { allowsHttpOnLoopback: false, origins: ['https://app.example.com'] }

describe('returnUrlFault', () => {
  test.each([
    'https://app.example.com',
    'https://app.example.com/done?user=1#top',
    'HTTPS://app.example.com/',
    'https://app.example.com:8443/',
    'https://xn--bcher-kva.example/',
    'http://localhost:3000/done',
    'http://127.0.0.1/',
    'http://[::1]:3000/',
  ])('takes %s outside production', (url) => {
    expect(returnUrlFault(url, anywhere)).toBeNull()
  })

  test.each([
    'javascript:alert(1)',
    'data:text/html,x',
    'vbscript:x',
    'file:///etc/passwd',
    'blob:https://app.example.com/1',
    'https://app.example.com@evil.com',
    'https://u:p@app.example.com',
    'https://@app.example.com',
    'http://app.example.com',
    'http://localhost.evil.com/',
    'http://127.0.0.1.evil.com/',
    'https://app.example.com/ok\r\nSet-Cookie: a=b',
    'https://app.example.com/\u0000',
    'https://app.example.com/\u007f',
    'https://app.example.com/ü',
    'https://аpp.example.com/', // Cyrillic а
    'https://app.example.com/a b',
    ' https://app.example.com/',
    '//evil.com',
    '///evil.com',
    '/\\evil.com',
    '\\\\evil.com',
    '/\t/evil.com',
    'https:\\\\evil.com',
    'https:/evil.com',
    'https:evil.com',
    'https:///evil.com',
    'https://',
    'https://?x',
    'https://app.example.com:99999/',
    'app.example.com',
    '/done',
    '',
  ])('refuses %j', (url) => {
    expect(returnUrlFault(url, anywhere)).toBeTypeOf('string')
  })

  test('takes plain http on loopback only outside production', () => {
    expect(returnUrlFault('http://localhost:3000/', anywhere)).toBeNull()
    expect(returnUrlFault('http://localhost:3000/', production)).toMatch(/https/)
  })

  test('compares the parsed origin with the tenant’s list, so that another spelling of it passes', () => {
    expect(returnUrlFault('https://app.example.com/done', listed)).toBeNull()
    expect(returnUrlFault('https://APP.example.com:443/done', listed)).toBeNull()
    for (const other of [
      'https://app.example.com.evil.com/',
      'https://app.example.com./',
      'https://app.example.com:8443/',
      'https://evil.com/?https://app.example.com',
    ])
      expect(returnUrlFault(other, listed)).toMatch(/return_url_origins/)
  })
})

describe('withResult', () => {
  test('keeps path, query and fragment as they were and adds nothing but the result', () => {
    expect(withResult('https://a.example/p?x=%20y&z#f', { status: 'connected', host_id: '1' })).toBe(
      'https://a.example/p?x=%20y&z&status=connected&host_id=1#f',
    )
    expect(withResult('https://a.example', { status: 'failed', code: 'access_denied' })).toBe(
      'https://a.example/?status=failed&code=access_denied',
    )
  })

  test('leaves one value per name, its own', () => {
    const url = new URL(withResult('https://a.example/?status=connected&a=1', { status: 'failed', code: 'x' }))
    expect(url.searchParams.getAll('status')).toEqual(['failed'])
    expect(url.searchParams.get('a')).toBe('1')
  })
})
