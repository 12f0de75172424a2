// Runs inside the sandbox's network namespace (image-test.sh pipes it in): a host connects, bots get their tokens, and twenty more
// are on their way when Latchkey is told to stop. Prints one line per step; exits non-zero at the first surprise.
import { setTimeout as sleep } from 'node:timers/promises'

const latchkey = 'http://localhost:4001'
const simulator = 'http://localhost:4010'
const { OPERATOR_KEY: operatorKey, RECALL_SECRET: secret } = process.env
const inFlight = 20

/** GET, or POST of a form or of JSON. */
async function call(url, { json, form, headers } = {}) {
  const body = form ?? (json && JSON.stringify(json))
  const type = json && { 'content-type': 'application/json' }
  const method = body ? 'POST' : 'GET'
  const response = await fetch(url, { redirect: 'manual', method, body, headers: { ...type, ...headers } })
  return { status: response.status, headers: response.headers, text: await response.text() }
}

function expect(actual, wanted, what) {
  if (actual !== wanted) throw new Error(`${what}: ${actual}, not ${wanted}`)
}

async function until(isTrue, what) {
  for (let tries = 0; tries < 600; tries++) {
    if (await isTrue()) return
    await sleep(50)
  }
  throw new Error(`never happened: ${what}`)
}

/** The browser's way through the consent page. */
async function connectHost() {
  const opened = await call(`${latchkey}/zoom/oauth`)
  expect(opened.status, 302, 'opening the link')
  const authorize = new URL(opened.headers.get('location'))
  expect(authorize.origin, simulator, 'the consent page')
  const form = new URLSearchParams([...authorize.searchParams, ['user_id', 'host@example.com']])
  const agreed = await call(`${simulator}/oauth/authorize`, { form })
  expect(agreed.status, 302, 'agreeing')
  const cookie = opened.headers.getSetCookie().map((line) => line.split(';')[0])
  const back = await call(agreed.headers.get('location'), { headers: { cookie: cookie.join('; ') } })
  expect(back.status, 200, 'coming back')
}

const bot = async (url) =>
  JSON.parse((await call(`${simulator}/_sim/recall/call`, { json: { url, secret, timeout_ms: 30_000 } })).text)

await connectHost()
console.log('connected')

const authorization = `Bearer ${operatorKey}`
const hosts = JSON.parse((await call(`${latchkey}/v1/hosts`, { headers: { authorization } })).text)
const created = await call(`${latchkey}/v1/passes`, {
  headers: { authorization },
  json: { meeting: '85996249517', host: { host_id: hosts.data[0].id } },
})
expect(created.status, 201, 'creating a pass')
const pass = JSON.parse(created.text)
for (const url of [pass.join_token_url, pass.obf_token_url]) expect((await bot(url)).status, 200, 'a bot')
console.log('minted')

const fault = { match: { path: '/v2/meetings/' }, times: inFlight, action: { type: 'hold' } }
expect((await call(`${simulator}/_sim/faults`, { json: fault })).status < 300, true, 'holding Zoom back')
const answers = Promise.all(Array.from({ length: inFlight }, () => bot(pass.join_token_url)))
const hits = async () => JSON.parse((await call(`${simulator}/_sim/faults`)).text)
await until(async () => JSON.stringify(await hits()).includes(`"hits":${inFlight}`), 'every request held at Zoom')
console.log('held')

await until(
  () =>
    call(`${latchkey}/readyz`).then(
      ({ status }) => status === 503,
      () => true,
    ),
  'the service stopping',
)
expect((await call(`${simulator}/_sim/faults/release`, { json: {} })).status < 300, true, 'letting go')
for (const { status, error } of await answers) expect(status ?? error, 200, 'a bot while the service stops')
console.log('answered')
