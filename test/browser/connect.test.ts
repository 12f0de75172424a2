import { mkdirSync } from 'node:fs'
import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import { join } from 'node:path'
import { type Browser, type BrowserContextOptions, chromium, type Page } from 'playwright-core'
import { afterAll, beforeAll, describe, expect, onTestFinished, test } from 'vitest'
import { buildTestApp } from '../helpers/app.ts'
import { CHROMIUM_ARGS, findChromium } from '../helpers/chromium.ts'
import { HOST, newTenant, OTHER_HOST } from '../helpers/connect.ts'

const SHOTS = join(import.meta.dirname, 'screenshots')
const PHONE: BrowserContextOptions = { viewport: { width: 390, height: 844 }, deviceScaleFactor: 2, isMobile: true }
const executablePath = findChromium()

/** A port for PUBLIC_BASE_URL, which the service must know before it listens. */
async function freePort(): Promise<number> {
  const server = createServer()
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  const { port } = server.address() as AddressInfo
  await new Promise((resolve) => server.close(resolve))
  return port
}

/** The service as a browser meets it, with a tenant that customers would recognise. */
async function listeningApp(env: Record<string, string> = {}) {
  const port = await freePort()
  const t = await buildTestApp({ env: { PUBLIC_BASE_URL: `http://127.0.0.1:${port}`, ...env } })
  await t.app.listen({ host: '127.0.0.1', port })
  const { headers } = await newTenant(t, { name: 'Acme Meetings' })
  return { t, headers, link: (session: Record<string, unknown>) => t.connectLink(session, headers) }
}

describe.runIf(executablePath)('the connect flow in Chromium', () => {
  let browser: Browser
  beforeAll(async () => {
    mkdirSync(SHOTS, { recursive: true })
    browser = await chromium.launch({ executablePath: executablePath ?? '', args: CHROMIUM_ARGS })
  })
  afterAll(() => browser.close())

  /** A page that collects every complaint of the browser: script errors, refused styles, blocked loads. */
  async function newPage(options: BrowserContextOptions = PHONE) {
    const context = await browser.newContext(options)
    onTestFinished(() => context.close())
    const page = await context.newPage()
    const complaints: string[] = []
    page.on('pageerror', (error) => complaints.push(error.message))
    page.on('console', (message) => {
      // the browser itself notes each answer of 400 and above; that is what these pages are
      const isStatusNote = /^Failed to load resource: the server responded with a status of/.test(message.text())
      if (['error', 'warning'].includes(message.type()) && !isStatusNote) complaints.push(message.text())
    })
    return { page, complaints }
  }
  const allow = (page: Page, user: string) => page.getByRole('button', { name: `Allow as ${user}` }).click()
  const shot = (page: Page, name: string) => page.screenshot({ path: join(SHOTS, `${name}.png`), fullPage: true })

  /** Readable on a phone: nothing sticks out, no text is small, the style was not refused. */
  async function expectReadable(page: Page) {
    const seen = await page.evaluate(`({
      overflow: document.documentElement.scrollWidth - window.innerWidth,
      smallest: Math.min(...[...document.querySelectorAll('h1,h2,p,li,dt,dd')].map((e) => parseFloat(getComputedStyle(e).fontSize))),
      isStyled: getComputedStyle(document.querySelector('main')).borderTopLeftRadius !== '0px',
      headings: document.querySelectorAll('h1').length,
    })`)
    expect(seen).toEqual({
      overflow: 0,
      smallest: expect.toSatisfy((px: number) => px >= 14),
      isStyled: true,
      headings: 1,
    })
  }
  const heading = (page: Page) => page.getByRole('heading', { level: 1 }).textContent()

  test('a person follows the link, allows access, and reads who was connected for whom and how to end it', async () => {
    const { t, headers, link } = await listeningApp()
    const { page, complaints } = await newPage()
    await page.goto(await link({ external_user_id: 'user-1' }))
    await allow(page, HOST)
    expect(await heading(page)).toBe('Zoom is connected')
    const text = await page.locator('main').innerText()
    expect(text).toContain(`${HOST} is now connected for Acme Meetings.`)
    expect(text).toContain('Added Apps')
    expect(text).toContain('ask Acme Meetings to disconnect')
    await expectReadable(page)
    await shot(page, 'connected-phone')
    expect((await t.api('GET', '/v1/hosts', { headers })).json().data).toMatchObject([{ email: HOST }])
    expect(await page.context().cookies()).toEqual([])
    expect(complaints).toEqual([])
  })

  test('declining, then a different account than expected, then the right one: each page says what to do', async () => {
    const { link } = await listeningApp()
    const { page, complaints } = await newPage()
    const url = await link({ external_user_id: 'user-1', expected_email: HOST })
    await page.goto(url)
    await page.getByRole('button', { name: 'Decline' }).click()
    expect(await heading(page)).toBe('Zoom was not connected')
    expect(await page.getByText('access_denied').isVisible()).toBe(true)
    await expectReadable(page)
    await shot(page, 'declined-phone')
    await page.goto(url)
    await allow(page, OTHER_HOST)
    expect(await heading(page)).toBe('A different Zoom account was expected')
    await expectReadable(page)
    await shot(page, 'email-mismatch-phone')
    await page.goto(url)
    await allow(page, HOST)
    expect(await heading(page)).toBe('Zoom is connected')
    expect(complaints).toEqual([])
  })

  test('a link that was used, and a callback that is loaded again, say that nothing was changed', async () => {
    const { link } = await listeningApp()
    const { page, complaints } = await newPage()
    const url = await link({ external_user_id: 'user-1' })
    await page.goto(url)
    await allow(page, HOST)
    const used = page.url()
    for (const again of [url, used]) {
      await page.goto(again)
      expect(await heading(page)).toBe('This link no longer works')
      expect(await page.getByText('invalid_flow').isVisible()).toBe(true)
    }
    await expectReadable(page)
    await shot(page, 'link-used-phone')
    expect(complaints).toEqual([])
  })

  test('a link opened in one browser does not connect in another', async () => {
    const { t, headers, link } = await listeningApp()
    const mine = await newPage()
    const theirs = await newPage()
    await mine.page.goto(await link({ external_user_id: 'user-1' }))
    await theirs.page.goto(mine.page.url()) // the authorize page, sent on
    await allow(theirs.page, OTHER_HOST)
    expect(await heading(theirs.page)).toBe('This link no longer works')
    expect((await t.api('GET', '/v1/hosts', { headers })).json().data).toEqual([])
  })

  test('with a return URL the browser ends there, with the result and without a code or a referrer', async () => {
    const referrers: (string | undefined)[] = []
    const backend = createServer((request, response) => {
      referrers.push(request.headers.referer)
      response.end('back')
    })
    await new Promise<void>((resolve) => backend.listen(0, '127.0.0.1', resolve))
    onTestFinished(() => {
      backend.close()
    })
    const returnUrl = `http://127.0.0.1:${(backend.address() as AddressInfo).port}/done?user=1`
    const { link } = await listeningApp()
    const { page } = await newPage()
    await page.goto(await link({ external_user_id: 'user-1', return_url: returnUrl }))
    await allow(page, HOST)
    const query = new URL(page.url()).searchParams
    expect([...query.keys()]).toEqual(['user', 'status', 'host_id'])
    expect(query.get('status')).toBe('connected')
    expect(referrers[0] ?? '').not.toContain('zoom/oauth')
  })

  test('the pages follow the dark scheme and a wide screen', async () => {
    const { link } = await listeningApp()
    const dark = await newPage({ ...PHONE, colorScheme: 'dark' })
    await dark.page.goto(await link({ external_user_id: 'user-1' }))
    await allow(dark.page, HOST)
    await expectReadable(dark.page)
    expect(await dark.page.evaluate('getComputedStyle(document.body).backgroundColor')).toBe('rgb(16, 21, 28)')
    await shot(dark.page, 'connected-phone-dark')
    const wide = await newPage({ viewport: { width: 1280, height: 860 } })
    await wide.page.goto(await link({ external_user_id: 'user-2' }))
    await allow(wide.page, OTHER_HOST)
    await expectReadable(wide.page)
    await shot(wide.page, 'connected-wide')
    expect([...dark.complaints, ...wide.complaints]).toEqual([])
  })

  test('the API reference works under its policy, and asks nobody else for anything', async () => {
    const { t } = await listeningApp()
    const { page, complaints } = await newPage({ viewport: { width: 1280, height: 860 } })
    const origins = new Set<string>()
    page.on('request', (request) => origins.add(new URL(request.url()).origin))
    await page.goto(`${t.settings.PUBLIC_BASE_URL}/docs`)
    await page.getByRole('heading', { name: 'Latchkey' }).first().waitFor()
    expect(complaints).toEqual([])
    expect([...origins].filter((origin) => origin !== 'null')).toEqual([t.settings.PUBLIC_BASE_URL])
  })
})
