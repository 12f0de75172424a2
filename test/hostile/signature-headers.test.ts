import { describe, expect, test } from 'vitest'
import { newRecallSecret } from '../helpers/guard.ts'
import { exchange, hostileApp, type Row } from '../helpers/hostile.ts'

const h = await hostileApp()
const { bot, mac, seconds } = h
const NAMES = ['webhook-id', 'webhook-timestamp', 'webhook-signature']
const WRONG = `v1,${Buffer.alloc(32, 7).toString('base64')}`
const ID = 'msg_1'

/** The right MAC of a request that says `ID`, in another spelling. */
const spelt = (spell: (right: string) => string) => () => bot({ id: ID, signature: spell(mac(`${ID}.${seconds()}.`)) })
const rightEntry = (id: string) => `v1,${mac(`${id}.${seconds()}.`)}`
const among = (wrong: number) => () => bot({ id: ID, signature: `${`${WRONG} `.repeat(wrong)}${rightEntry(ID)}` })
const flipped = (bit: number) => (right: string) => {
  const bytes = Buffer.from(right, 'base64')
  bytes[bit >> 3] = (bytes[bit >> 3] as number) ^ (1 << (bit & 7))
  return `v1,${bytes.toString('base64')}`
}

describe('signature headers that are not those of this request are one and the same 401:', () => {
  h.table([
    ['#1 all three absent', () => bot({ without: NAMES }), 401],
    ...NAMES.map((name): Row => [`#2 ${name} absent`, () => bot({ without: [name] }), 401]),
    ...NAMES.map((name): Row => [`#5 ${name} empty`, () => bot({ without: [name], lines: [`${name}:`] }), 401]),
    ['#8 nothing after v1,', spelt(() => 'v1,'), 401],
    ['#9 no label', spelt((right) => right), 401],
    ...['v1a', 'V1', 'v2'].map((label): Row => [`#10 label ${label}`, spelt((right) => `${label},${right}`), 401]),
    ['#13 base64url', () => bot({ id: urlUnsafeId(), signature: urlSpelling() }), 401],
    ['#14 padding removed', spelt((right) => `v1,${right.slice(0, -1)}`), 401],
    ['#15 junk inside', spelt((right) => `v1,${right.slice(0, 20)}!*${right.slice(20)}`), 401],
    ['#16 bytes after the padding', spelt((right) => `v1,${right}AAAA`), 401],
    ['#17 hex', spelt((right) => `v1,${Buffer.from(right, 'base64').toString('hex')}`), 401],
    ...[0, 7, 100, 255].map((bit): Row => [`#18 bit ${bit} flipped`, spelt(flipped(bit)), 401]),
    ['#19 the MAC of another secret', () => bot({ secrets: [newRecallSecret()] }), 401],
    ['#20 the MAC without the last dot', () => bot({ id: ID, signature: `v1,${mac(`${ID}.${seconds()}`)}` }), 401],
    ...['msg_é', 'a b', 'a%0ab', '"a"', '../a', 'a.b'].map(
      (id): Row => [`#21 the id ${id}, signed`, () => bot({ id, signature: rightEntry(id) }), 401],
    ),
    ['#22 a triple of 301 s ago', () => bot({ timestamp: String(seconds() - 301) }), 401],
    ['#28 an id of 129 characters', () => bot({ id: 'x'.repeat(129) }), 401],
    ['#28 an id of 8 KiB', () => bot({ id: 'x'.repeat(8192) }), 401],
    [
      '#30 webhook_id for webhook-id',
      () => bot({ id: ID, without: ['webhook-id'], lines: [`webhook_id: ${ID}`] }),
      401,
    ],
    ...NAMES.flatMap((name): Row[] => [
      [`#32 a second ${name} line, the same`, () => twice(name, (value) => value), 401],
      [`#33 a second ${name} line, another, after it`, () => twice(name, () => 'x'), 401],
    ]),
    [
      '#33 two signature lines, the second right',
      () => bot({ id: ID, without: ['webhook-signature'], lines: two() }),
      401,
    ],
    [
      '#34 a signed request without a pass',
      () => bot({ path: '/zoom/join-token?x=1&y' }).replace(/pass=[^ ]*/, ''),
      401,
    ],
    [
      '#34 a signed upgrade to a WebSocket, without a pass',
      () =>
        bot({ lines: ['Upgrade: websocket'] })
          .replace(/\?pass=[^ ]*/, '')
          .replace('Connection: close', 'Connection: Upgrade'),
      401,
    ],
  ])
})

const two = () => [`webhook-signature: ${WRONG}`, `webhook-signature: ${rightEntry(ID)}`]

/** A right request with one header line more: what stands there again. */
function twice(name: string, again: (value: string) => string) {
  const bytes = bot()
  const value = new RegExp(`${name}: (.*)\r`).exec(bytes)?.[1] as string
  return bytes.replace('Connection:', `${name}: ${again(value)}\r\nConnection:`)
}

/** An id whose MAC has letters that base64url writes otherwise. */
function urlUnsafeId(): string {
  for (let index = 0; ; index++) if (/[+/]/.test(mac(`msg_u${index}.${seconds()}.`))) return `msg_u${index}`
}
const urlSpelling = () => rightEntry(urlUnsafeId()).replaceAll('+', '-').replaceAll('/', '_')

describe('a signature that is there counts, whatever stands beside it:', () => {
  h.table([
    ['#23 the right entry after 9 wrong ones', among(9), 200],
    ['#24 svix-* headers alone', () => bot({ family: 'svix' }), 200],
    ['#25 the right entry after 10 wrong ones', among(10), 200],
    ['#26 the right entry after 40 wrong ones', among(40), 401],
    ['#26 the right entry after 5,000 wrong ones', among(5000), 431],
    ['#29 right svix-* headers beside wrong webhook-*', () => bot({ signature: WRONG, lines: svix(rightSvix()) }), 401],
    ['#29 wrong svix-* headers beside right webhook-*', () => bot({ lines: svix(WRONG) }), 200],
    [
      '#31 names in any case',
      () => bot().replace('webhook-id', 'WEBHOOK-ID').replace('webhook-signature', 'Webhook-SIGNATURE'),
      200,
    ],
  ])
})

const rightSvix = () => rightEntry('svix_1')
const svix = (signature: string) => ['svix-id: svix_1', `svix-timestamp: ${seconds()}`, `svix-signature: ${signature}`]

test('#35 the same bytes again, as a retry sends them, are a new token', async () => {
  h.nextSecond()
  const bytes = bot()
  const answers = [await exchange(h.port, bytes), await exchange(h.port, bytes)]
  expect(answers.map(({ status }) => status)).toEqual([200, 200])
  expect(answers[0]?.body).not.toBe(answers[1]?.body)
  h.counted(1)
})

test('#36 the same signed lines with another pass are 403 pass_mismatch', async () => {
  h.nextSecond()
  const other = await h.t.createPass({ meeting: h.host.meeting, host: { external_user_id: h.host.externalUserId } })
  const bytes = bot()
  expect((await exchange(h.port, bytes)).status).toBe(200)
  const stolen = new URL(other.join_token_url).searchParams.get('pass') as string
  await h.judge(bytes.replace(h.pass, stolen), 403)
  h.counted(1)
})
