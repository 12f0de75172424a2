import { createSocket } from 'node:dgram'
import type { AddressInfo } from 'node:net'
import { expect, onTestFinished, test } from 'vitest'
import { createResolver } from '../../../src/receivers/resolver.ts'

const TYPES = { 1: 'A', 28: 'AAAA' } as const
const NO_SUCH_NAME = 3
const SERVER_FAILED = 2

/** What a name server says to one question: the bytes of its records, or a code of failure. @see RFC 1035 section 4.1 */
type Answer = (name: string, type: 'A' | 'AAAA') => Buffer[] | number

async function nameServer(answer: Answer): Promise<string> {
  const socket = createSocket('udp4')
  socket.on('message', (query, { port, address }) => {
    let end = 12
    const labels: string[] = []
    for (let length = query[end] as number; length > 0; length = query[end] as number) {
      labels.push(query.toString('latin1', end + 1, end + 1 + length))
      end += length + 1
    }
    const question = query.subarray(12, end + 5)
    const type = query.readUInt16BE(end + 1) as keyof typeof TYPES
    const answered = answer(labels.join('.'), TYPES[type])
    const records = typeof answered === 'number' ? [] : answered
    const head = Buffer.alloc(12)
    query.copy(head, 0, 0, 2)
    head.writeUInt16BE(0x8180 | (typeof answered === 'number' ? answered : 0), 2)
    head.writeUInt16BE(1, 4)
    head.writeUInt16BE(records.length, 6)
    const bodies = records.flatMap((data) => {
      const record = Buffer.from('c00c0000000100000000', 'hex') // the name asked for, class IN, to be kept 0 s
      record.writeUInt16BE(type, 2)
      return [record, Buffer.of(0, data.length), data]
    })
    socket.send(Buffer.concat([head, question, ...bodies]), port, address)
  })
  await new Promise<void>((resolve) => socket.bind(0, '127.0.0.1', resolve))
  onTestFinished(() => void socket.close())
  return `127.0.0.1:${(socket.address() as AddressInfo).port}`
}
const resolving = async (answer: Answer) => createResolver({ servers: [await nameServer(answer)] })

const V4 = Buffer.of(93, 184, 215, 14)
const V6 = Buffer.from('26064700470000000000000000001111', 'hex')

test('a name has the addresses of both families', async () => {
  const resolve = await resolving((name, type) =>
    name === 'hooks.example.com' ? [type === 'A' ? V4 : V6] : NO_SUCH_NAME,
  )
  expect(await resolve('hooks.example.com')).toEqual([
    { address: '93.184.215.14', family: 4 },
    { address: '2606:4700:4700::1111', family: 6 },
  ])
})

test('a name of one family is enough, also where the servers fail on the other', async () => {
  const onlyV6 = await resolving((_, type) => (type === 'A' ? [] : [V6]))
  expect(await onlyV6('hooks.example.com')).toEqual([{ address: '2606:4700:4700::1111', family: 6 }])
  const failing = await resolving((_, type) => (type === 'A' ? [V4] : SERVER_FAILED))
  expect(await failing('hooks.example.com')).toEqual([{ address: '93.184.215.14', family: 4 }])
})

test('a name that nobody knows has none', async () => {
  const resolve = await resolving(() => NO_SUCH_NAME)
  await expect(resolve('hooks.example.com')).rejects.toMatchObject({ code: 'ENOTFOUND' })
})

test('localhost is this machine, and no name server is asked', async () => {
  let asked = 0
  const resolve = await resolving(() => {
    asked += 1
    return [V4]
  })
  expect((await resolve('localhost')).map(({ address }) => address)).toEqual(['127.0.0.1', '::1'])
  expect(asked).toBe(0)
})
