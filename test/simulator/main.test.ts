import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { expect, onTestFinished, test } from 'vitest'

/** The simulator as `npm run simulator` starts it; killed when the test ends, should it still run. */
function start(env: Record<string, string>) {
  const child = spawn(process.execPath, ['simulator/main.ts'], { env: { ...process.env, PORT: '0', ...env } })
  onTestFinished(() => void child.kill('SIGKILL'))
  let output = ''
  for (const stream of [child.stdout, child.stderr]) {
    stream.on('data', (chunk: Buffer) => {
      output += chunk.toString('utf8')
    })
  }
  return { child, output: () => output }
}

async function readyUrl(child: ChildProcess, output: () => string): Promise<string> {
  for (;;) {
    const url = /ZOOM_OAUTH_BASE_URL\s+(\S+)/.exec(output())?.[1]
    if (url) return url
    if (child.exitCode !== null) throw new Error('the simulator ended before it was ready')
    await Promise.race([once(child.stdout ?? child, 'data'), once(child, 'exit')])
  }
}

test('it says where it listens, serves its seed, prints no token and ends with 0 on SIGTERM', async () => {
  const { child, output } = start({ SIMULATOR_SEED: JSON.stringify({ users: [{ email: 'seeded@example.com' }] }) })
  const url = await readyUrl(child, output)
  const users = await (await fetch(`${url}/_sim/users`)).text()
  expect(users).toContain('seeded@example.com')
  const body = new URLSearchParams({
    grant_type: 'client_credentials',
    client_id: 'simulator-client-id',
    client_secret: 'simulator-client-secret',
  })
  const pair = (await (await fetch(`${url}/oauth/token`, { method: 'POST', body })).json()) as { access_token: string }
  child.kill('SIGTERM')
  const [code] = await once(child, 'exit')
  expect(code).toBe(0)
  expect(pair.access_token.length).toBeGreaterThan(50)
  expect(output()).not.toContain(pair.access_token)
})

test.each([
  [{ SIMULATOR_SEED: '{"users":[{}]}' }, 'users.0'],
  [{ SIMULATOR_SEED: '{' }, 'SIMULATOR_SEED'],
  [{ PORT: 'many' }, 'PORT'],
])('it refuses to start with %j and says why', async (env, reason) => {
  const { child, output } = start(env as Record<string, string>)
  const [code] = await once(child, 'close')
  expect(code).toBe(1)
  expect(output()).toContain(reason)
})
