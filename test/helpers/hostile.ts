import { createHmac } from 'node:crypto'
import { connect } from 'node:net'
import { afterAll, expect, test } from 'vitest'
import { signRecallRequest } from '../../simulator/recall.ts'
import { OPERATOR_KEY, RECALL_SECRET, startTestApp } from './app.ts'
import { unique } from './management.ts'
import { newVaultHost } from './vault.ts'
import { WEBHOOK_SECRET } from './zoom-events.ts'

/** Put it wherever a sender's text could come back: no answer may hold it. */
export const MARK = 'repeat-me-not'
export const KEY_LINE = `Authorization: Bearer ${OPERATOR_KEY}`
export const JSON_LINE = 'Content-Type: application/json'
const ANSWER_MS = 3000 // the catalogue's 1 s, on two cores that others use too
const CODES: Record<number, string> = {
  400: 'invalid_request',
  401: 'unauthenticated',
  403: 'pass_mismatch',
  404: 'not_found',
  405: 'method_not_allowed',
  413: 'payload_too_large',
  415: 'unsupported_media_type',
  417: 'invalid_request',
  431: 'invalid_request',
}

export interface Answer {
  /** 0 where the connection ended without an answer. */
  status: number
  /** In lower case. */
  head: string
  body: string
}

/** One line of a table: its number in the catalogue and what is sent; the bytes; the answer's status, and its code. */
export type Row = [name: string, bytes: () => string | Buffer, status: number, code?: string]

/** A request as bytes; lines and body go out as they are. */
export function http(requestLine: string, lines: string[] = [], body = ''): string {
  return [`${requestLine} HTTP/1.1`, 'Host: localhost', ...lines, 'Connection: close', '', body].join('\r\n')
}

/** A request of the management API by the operator, with a length that is right. */
export function api(method: string, path: string, body?: unknown, lines: string[] = []): string {
  if (body === undefined) return http(`${method} ${path}`, [KEY_LINE, ...lines])
  const text = typeof body === 'string' ? body : JSON.stringify(body)
  const type = lines.some((line) => /^content-type:/i.test(line)) ? [] : [JSON_LINE]
  return http(`${method} ${path}`, [KEY_LINE, ...type, ...lines, `Content-Length: ${Buffer.byteLength(text)}`], text)
}

/** The first final answer in what came so far; null while it is not whole. One without a length lasts to the connection's end. */
function answerIn(received: string, isHead: boolean, isEnd = false): Answer | null {
  const end = received.indexOf('\r\n\r\n')
  if (end < 0) return null
  const head = received.slice(0, end).toLowerCase()
  const rest = received.slice(end + 4)
  const status = Number(head.split(' ')[1])
  if (status < 200) return answerIn(rest, isHead, isEnd)
  const length =
    status === 204 || isHead
      ? 0
      : Number(/^content-length: (\d+)/m.exec(head)?.[1] ?? (isEnd ? rest.length : Number.NaN))
  return rest.length >= length ? { status, head, body: Buffer.from(rest.slice(0, length), 'latin1').toString() } : null
}

/** Sends bytes as no client library would. @throws where neither an answer nor an end came in time */
export function exchange(port: number, bytes: string | Buffer): Promise<Answer> {
  return new Promise((resolve, reject) => {
    const socket = connect(port, '127.0.0.1')
    const isHead = bytes.toString().startsWith('HEAD ')
    let received = ''
    const done = (answer: Answer) => {
      clearTimeout(timer)
      socket.destroy()
      resolve(answer)
    }
    const timer = setTimeout(() => {
      socket.destroy()
      reject(new Error(`no answer in time, only ${JSON.stringify(received.slice(0, 200))}`))
    }, ANSWER_MS)
    socket.on('error', () => {}) // a reset ends in 'close' like any other end
    socket.on('data', (chunk) => {
      received += chunk.toString('latin1')
      const answer = answerIn(received, isHead)
      if (answer) done(answer)
    })
    socket.on('close', () => done(answerIn(received, isHead, true) ?? { status: 0, head: '', body: '' }))
    socket.write(bytes)
  })
}

interface BotRequest {
  id?: string
  /** The text that is signed and sent. */
  timestamp?: string
  /** In place of the header that is right. */
  signature?: string
  secrets?: string[]
  family?: 'webhook' | 'svix'
  /** Past the pass, as they stand. */
  query?: string
  path?: string
  lines?: string[]
  /** Names of signature headers to leave out. */
  without?: string[]
}

/** The service on a port of its own, with one host who can mint, and the table's judge. */
export async function hostileApp(env: Record<string, string> = {}) {
  let clockMs = Date.now()
  let isLater = false
  const t = await startTestApp({ env: { ZOOM_WEBHOOK_SECRET_TOKEN: WEBHOOK_SECRET, ...env }, now: () => clockMs })
  const host = await newVaultHost(t)
  const port = Number(new URL(await t.app.listen({ port: 0, host: '127.0.0.1' })).port)
  const pass = new URL(host.joinUrl).searchParams.get('pass') as string
  const canaries = [OPERATOR_KEY, RECALL_SECRET.slice(6), WEBHOOK_SECRET, 'simulator-client-secret', pass]
  let count = 0
  afterAll(async () => {
    console.info(`${count} hostile cases`)
    await t.stop()
  })

  /** The clock stands still within a case; the next one is in another second, whose failures are counted anew. */
  function nextSecond() {
    isLater = !isLater
    clockMs = Date.now() + (isLater ? 2000 : 0)
  }
  const seconds = () => Math.floor(clockMs / 1000)
  /** The signature of a text, as one entry. */
  const mac = (text: string, secret = RECALL_SECRET) =>
    createHmac('sha256', Buffer.from(secret.slice(6), 'base64'))
      .update(text)
      .digest('base64')

  /** A bot's request, right but for what is given. */
  function bot(wrong: BotRequest = {}): string {
    const { id = `msg_${unique()}`, timestamp = String(seconds()), secrets = [RECALL_SECRET], family } = wrong
    const { query = '', path = '/zoom/join-token', lines = [], without = [] } = wrong
    const signed = signRecallRequest({ secrets, id, timestamp: timestamp as never, ...(family ? { family } : {}) })
    if (wrong.signature !== undefined) signed[`${family ?? 'webhook'}-signature`] = wrong.signature
    const sent = Object.entries(signed).filter(([name]) => !without.includes(name))
    return http(`GET ${path}?pass=${pass}${query}`, [...sent.map(([name, value]) => `${name}: ${value}`), ...lines])
  }

  /** Nothing that is secret, nothing the sender wrote, no trace of code in the answer; no fault of ours in the log. */
  function expectSilence({ body, head }: Answer, lines: string[], isToken: boolean) {
    const tokens = t.zoom.issued.map(({ value }) => value)
    const told = isToken ? head : head + body
    expect([...canaries, ...tokens].filter((secret) => told.includes(secret))).toEqual([])
    expect([...canaries, ...tokens].filter((secret) => lines.some((line) => line.includes(secret)))).toEqual([])
    expect(told).not.toContain(MARK)
    expect(body).not.toMatch(/\bat .+\.(ts|js|mjs):\d+/)
    const faults = lines.map((line) => JSON.parse(line)).filter(({ level, err }) => level >= 50 || err?.stack)
    expect(faults).toEqual([])
  }

  /** What every case must keep, whatever was sent. */
  async function judge(bytes: string | Buffer, status: number, code?: string): Promise<Answer> {
    const [zoomBefore, logBefore, mintedBefore] = [t.zoom.log().length, t.log.length, t.zoom.minted.length]
    const answer = await exchange(port, bytes)
    const isToken = answer.status === 200 && answer.head.includes('content-type: text/plain')
    const isRefusal = status >= 400 && !bytes.toString().startsWith('HEAD ')
    expect([answer.status, codeOf(answer)]).toEqual([status, isRefusal ? (code ?? CODES[status]) : undefined])
    expect(t.zoom.minted.length - mintedBefore).toBe(isToken ? 1 : 0)
    if (!isToken) expect(t.zoom.log().length).toBe(zoomBefore)
    expectSilence(answer, t.log.slice(logBefore), isToken)
    await expectAlive()
    return answer
  }

  async function expectAlive() {
    const before = t.zoom.minted.length
    const good = await exchange(port, bot())
    expect(good.status).toBe(200)
    expect(t.zoom.minted.slice(before)).toContain(good.body)
  }

  /** One test for each line of a table. */
  function table(rows: Row[]) {
    count += rows.length
    test.each(rows)('%s', async (_name, bytes, status, code) => {
      nextSecond()
      await judge(bytes(), status, code)
    })
  }
  /** Cases that are no line of a table, of a test of its own. */
  const counted = (cases: number) => {
    count += cases
  }
  const shift = (ms: number) => {
    clockMs += ms
  }
  return { t, host, port, pass, bot, mac, seconds, judge, expectAlive, table, counted, nextSecond, shift }
}

/** The code of a refusal: of a problem document, which is checked, or of a page; none where there is no body. */
function codeOf({ status, head, body }: Answer): string | undefined {
  if (status < 400 || body === '') return undefined
  if (head.includes('content-type: text/html')) return /<dd>([a-z_]+)<\/dd>/.exec(body)?.[1]
  expect(head).toContain('content-type: application/problem+json')
  const problem = JSON.parse(body)
  expect(problem).toMatchObject({ status, type: `urn:latchkey:error:${problem.code}`, request_id: expect.any(String) })
  if (status === 401) expect(problem.detail).toBe('The request is not authentic.')
  return problem.code
}
