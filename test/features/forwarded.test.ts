import { expect, test, vi } from 'vitest'
import { buildTestApp, type TestApp } from '../helpers/app.ts'

const CALLER = '203.0.113.7'
const FORWARDED = {
  'x-forwarded-for': CALLER,
  'x-forwarded-host': 'evil.example',
  'x-forwarded-proto': 'https',
  forwarded: `for=${CALLER};host=evil.example;proto=https`,
  'x-real-ip': CALLER,
}

/** The address of a request as the log has it. */
async function addressOf(t: Omit<TestApp, 'stop'>, headers: Record<string, string>, remoteAddress = '192.0.2.1') {
  t.log.length = 0
  await t.app.inject({ url: '/v1/hosts', remoteAddress, headers })
  const line = await vi.waitFor(() => {
    const found = t.log
      .join('')
      .split('\n')
      .find((each) => each.includes('request answered'))
    return found ?? expect.fail('no line yet')
  })
  return JSON.parse(line).req.address
}

test('headers of a proxy that nobody trusts change neither address nor URL nor cookie', async () => {
  const t = await buildTestApp()
  expect(await addressOf(t, FORWARDED)).toBe('192.0.2.1')
  const link = new URL(await t.connectLink({ external_user_id: 'u' }))
  const opened = await t.app.inject({ url: link.pathname + link.search, headers: FORWARDED })
  expect(opened.headers.location).not.toContain('evil.example')
  expect(opened.cookies[0]).not.toHaveProperty('secure')
  expect(opened.headers).not.toHaveProperty('strict-transport-security')
  const body = { external_user_id: 'v' }
  const made = await t.api('POST', '/v1/connect-sessions', { body, headers: FORWARDED })
  expect(made.json().url).toMatch(/^http:\/\/localhost:4000\//)
})

test('of a trusted proxy the address is taken, where it is one, and nothing else', async () => {
  const t = await buildTestApp({ env: { TRUSTED_PROXIES: '192.0.2.0/24' } })
  expect(await addressOf(t, FORWARDED)).toBe(CALLER)
  expect(await addressOf(t, { 'x-forwarded-for': `198.51.100.9, ${CALLER}` })).toBe(CALLER) // the caller wrote the first
  expect(await addressOf(t, { 'x-forwarded-for': 'admin"} \u001b[2J' })).toBe('192.0.2.1')
  expect(await addressOf(t, FORWARDED, '198.51.100.1')).toBe('198.51.100.1')
  const body = { external_user_id: 'v' }
  const made = await t.api('POST', '/v1/connect-sessions', { body, headers: FORWARDED })
  expect(made.json().url).toMatch(/^http:\/\/localhost:4000\//)
})
