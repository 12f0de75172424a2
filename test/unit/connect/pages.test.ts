import { createHash } from 'node:crypto'
import { describe, expect, test } from 'vitest'
import { AppError, CATALOGUE, type ErrorCode } from '../../../src/errors.ts'
import { PAGE_CSP } from '../../../src/features/connect/page-style.ts'
import { connectedPage, failedPage } from '../../../src/features/connect/pages.ts'

const codes = Object.keys(CATALOGUE) as ErrorCode[]
const hostile = '<script>alert(1)</script>"\'&'
const escaped = '&lt;script&gt;alert(1)&lt;/script&gt;&quot;&#39;&amp;'
const flowCodes: ErrorCode[] = [
  'access_denied',
  'email_mismatch',
  'email_unverifiable',
  'other_zoom_user',
  'already_connected',
  'zoom_unavailable',
  'app_misconfigured',
  'connect_failed',
  'invalid_flow',
  'invalid_request',
  'rate_limited',
]
const failed = (code: ErrorCode, tenantName: string | null = 'Acme') =>
  failedPage(new AppError(code, 'PUBLIC MESSAGE'), { tenantName, requestId: 'the-request-id' })

describe('the success page', () => {
  test('names the Zoom account, the tenant, and both ways to disconnect', () => {
    const page = connectedPage({ kind: 'host', account: 'hana@example.com', tenantName: 'Acme' })
    expect(page).toContain('<bdi>hana@example.com</bdi>')
    expect(page).toContain('<bdi>Acme</bdi>')
    expect(page).toContain('Added Apps')
    expect(page).toContain('Or ask <bdi>Acme</bdi> to disconnect')
  })

  test('says of an organization that it is one', () => {
    const page = connectedPage({ kind: 'organization', account: 'admin@example.com', tenantName: 'Acme' })
    expect(page).toContain('The organization of the Zoom account')
    expect(page).toContain('people of your organization host')
  })

  test('escapes every name', () => {
    const page = connectedPage({ kind: 'host', account: hostile, tenantName: hostile })
    expect(page).not.toContain('<script')
    expect(page.split(escaped).length).toBeGreaterThan(2)
  })
})

describe('failure pages', () => {
  test.each(codes)('%s: code and request id for support, and what to do next', (code) => {
    const page = failed(code)
    expect(page).toContain(`<dd>${code}</dd>`)
    expect(page).toContain('<dd>the-request-id</dd>')
    expect(page).toMatch(/What to do next<\/h2>\s*<(p|ol)>/)
  })

  test('each way a flow can end has a title of its own', () => {
    const titles = flowCodes.map((code) => /<title>(.*)<\/title>/.exec(failed(code))?.[1])
    expect(new Set(titles).size).toBe(flowCodes.length)
  })

  test('without a known tenant they speak of whoever sent the link', () => {
    expect(failed('invalid_flow', null)).toContain('whoever sent you the link')
  })

  test('escape the tenant’s name', () => {
    expect(failed('access_denied', hostile)).toContain(escaped)
    expect(failed('access_denied', hostile)).not.toContain('<script')
  })
})

test.each([connectedPage({ kind: 'host', account: 'a', tenantName: 'b' }), failed('connect_failed')])(
  'pages load nothing: one style whose hash the policy names, no script, no image, no form (%#)',
  (page) => {
    const style = /<style>([\s\S]*)<\/style>/.exec(page)?.[1] ?? ''
    expect(PAGE_CSP).toContain(`style-src 'sha256-${createHash('sha256').update(style).digest('base64')}'`)
    expect(page).not.toMatch(/<(script|img|link|iframe|form|object)|\sstyle=|\son[a-z]+=|url\(|@import/i)
    expect(page).toMatch(/^<!doctype html>\n<html lang="en">/)
    expect(page).toContain('name="viewport"')
    expect(page.match(/<h1>/g)).toHaveLength(1)
  },
)
