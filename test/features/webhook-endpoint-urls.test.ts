import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { buildTestApp, startTestApp, type TestApp } from '../helpers/app.ts'
import { newTenantWithKey, outcomeOf } from '../helpers/management.ts'

const URL_OF_MINE = 'https://hooks.example.com/latchkey'
let t: TestApp
let tenant: Awaited<ReturnType<typeof newTenantWithKey>>

beforeAll(async () => {
  t = await startTestApp()
  tenant = await newTenantWithKey(t)
})
afterAll(() => t.stop())

async function newEndpoint(body: Record<string, unknown> = {}) {
  const created = await tenant.call('POST', '/v1/webhook-endpoints', { url: URL_OF_MINE, ...body })
  const endpoint = created.json() as { id: string; url: string }
  return { created, endpoint, url: `/v1/webhook-endpoints/${endpoint.id}` }
}

describe('the URL of an endpoint', () => {
  const REFUSED = [
    // this network and this machine, in every spelling a URL parser takes
    'https://10.0.0.1/',
    'https://172.16.0.1/',
    'https://192.168.1.1/',
    'https://169.254.169.254/latest/meta-data/',
    'https://2852039166/',
    'https://0xa9fea9fe/',
    'https://0251.0376.0251.0376/',
    'https://169.254.43518/',
    'https://169.254.169.254./',
    'https://%31%36%39.254.169.254/',
    'https://100.100.100.200/',
    'https://168.63.129.16/',
    'https://0.0.0.0/',
    'https://0/',
    'https://192.0.0.192/',
    'https://198.18.0.1/',
    'https://203.0.113.7/',
    'https://224.0.0.1/',
    'https://240.0.0.1/',
    'https://255.255.255.255/',
    'https://[::]/',
    'https://[::ffff:10.0.0.1]/',
    'https://[::ffff:a9fe:a9fe]/',
    'https://[::ffff:127.0.0.1]/',
    'https://[::127.0.0.1]/',
    'https://[0:0:0:0:0:ffff:7f00:1]/',
    'https://[64:ff9b::169.254.169.254]/',
    'https://[64:ff9b:1::10.0.0.1]/',
    'https://[2002:a9fe:a9fe::]/',
    'https://[2002:7f00:1::1]/',
    'https://[2001:0:a9fe:a9fe::1]/',
    'https://[fd00:ec2::254]/',
    'https://[fc00::1]/',
    'https://[fe80::1]/',
    'https://[fec0::1]/',
    'https://[ff02::1]/',
    'https://[2001:db8::1]/',
    'https://[100::1]/',
    // names that only this network knows
    'https://metadata.google.internal/computeMetadata/v1/',
    'https://METADATA.google.INTERNAL./',
    'https://postgres/',
    'https://db.local/',
    'https://router.lan/',
    'https://vault.service.intranet/',
    'https://host.docker.internal/',
    'https://printer.home.arpa/',
    'https://svc.ns.svc.cluster.local/',
    // no https URL in plain ASCII
    'http://hooks.example.com/',
    'ftp://hooks.example.com/',
    'javascript:alert(1)',
    'file:///etc/passwd',
    'hooks.example.com/latchkey',
    '//hooks.example.com/',
    '/latchkey',
    'https:hooks.example.com',
    'https:///hooks.example.com',
    'https:\\\\hooks.example.com',
    'https://hooks.example.com\\@evil.example.com/',
    'https://user@hooks.example.com/',
    'https://user:password@hooks.example.com/',
    'https://:@hooks.example.com/',
    'https://hooks.example.com/#part',
    'https://hooks.example.com/a b',
    'https://hooks.example.com/\u0000',
    'https://hooks.example.com/\t',
    'https://hooks.example.com/ü',
    'https://１２７.０.０.１/',
    'https://①②⑦.⓪.⓪.①/',
    'https://hooks.example.com:99999/',
    'https://hooks.example.com%00.evil.com/',
    'https://[::1',
    'https://',
    '',
    `https://hooks.example.com/${'a'.repeat(2000)}`,
  ]

  test('is refused where it could lead into a network of our own, or is no https URL, however it is spelt', async () => {
    const { url: known } = await newEndpoint()
    const taken: string[] = []
    for (const url of REFUSED) {
      const answers = [(await newEndpoint({ url })).created, await tenant.call('PATCH', known, { url })]
      if (answers.some((answer) => answer.statusCode !== 400 || answer.json().code !== 'invalid_request'))
        taken.push(url)
    }
    expect(taken).toEqual([])
    expect((await tenant.call('GET', known)).json().url).toBe(URL_OF_MINE)
  })

  test('is refused with what is wrong with it, by the name of its field', async () => {
    const problem = (await newEndpoint({ url: 'https://169.254.169.254/' })).created.json()
    const message = 'must not be a private, loopback, link-local or reserved address'
    expect(problem.errors).toEqual([{ path: 'body/url', message }])
  })

  test('may be any public https URL, kept as it was written', async () => {
    for (const url of [
      'https://hooks.example.com',
      'https://Hooks.Example.com:8443/a/b?token=1&x=%2F..',
      'https://93.184.215.14/',
      'https://[2606:2800:21f:cb07:6820:80da:af6b:8b2c]/hook',
      'https://xn--bcher-kva.example/',
      'https://localhost.example.com/',
      'https://internal.example.com/',
    ]) {
      const { created, endpoint, url: path } = await newEndpoint({ url })
      expect([created.statusCode, endpoint.url], url).toEqual([201, url])
      await tenant.call('DELETE', path)
    }
  })

  const LOOPBACK = [
    'http://localhost:4001/hook',
    'http://127.0.0.1:4001/hook',
    'http://127.1/',
    'https://127.0.0.2/',
    'http://[::1]:4001/',
    'http://2130706433/',
  ]
  test('may be this machine while developing', async () => {
    for (const url of LOOPBACK) expect((await newEndpoint({ url })).created.statusCode, url).toBe(201)
  })

  test('is never this machine in production', async () => {
    const production = await buildTestApp({
      env: {
        NODE_ENV: 'production',
        PUBLIC_BASE_URL: 'https://latchkey.example.com',
        INSTALLATION_ID: 'tests',
      },
    })
    for (const url of [...LOOPBACK, 'https://localhost/', 'https://a.localhost/', 'https://localhost./']) {
      const answer = await production.api('POST', '/v1/webhook-endpoints', { body: { url } })
      expect(outcomeOf(answer), url).toEqual([400, 'invalid_request'])
    }
    expect((await production.api('POST', '/v1/webhook-endpoints', { body: { url: URL_OF_MINE } })).statusCode).toBe(201)
  })
})
