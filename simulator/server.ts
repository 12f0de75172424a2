import { createServer, type Server, type ServerResponse } from 'node:http'
import type { AddressInfo } from 'node:net'
import { createControl } from './control.ts'
import { createControls, type Simulator, type SimulatorOptions } from './handle.ts'
import { createRecallCaller } from './recall.ts'
import { createRecallApi } from './recall-api.ts'
import { Refusal } from './refusal.ts'
import { seedSchema } from './seed.ts'
import { createState, parseInput } from './state.ts'
import { sendReply } from './wire.ts'
import { createZoom } from './zoom.ts'

export type { Simulator, SimulatorOptions } from './handle.ts'

/** Idle connections are kept longer than any client's pool keeps them, so that only a fault breaks one. */
const KEEP_ALIVE_MS = 120_000

/** Starts a strict stand-in for Zoom and Recall on loopback. @throws ControlError for a seed or modes it cannot take */
export async function startSimulator(options: SimulatorOptions = {}): Promise<Simulator> {
  const seed = parseInput(seedSchema, options.seed ?? {}, 'seed')
  const closing = new AbortController()
  const state = createState()
  const zoom = createZoom(state, (delayMs) => pauseUnless(closing.signal, delayMs))
  const recall = createRecallCaller()
  const recallApi = createRecallApi({ state, mints: zoom.mints, recall })
  const controls = createControls({ state, zoom, recall, recallApi, seed, modes: options.modes ?? {} })
  const control = createControl(controls, { state, zoom })
  const serverOf = (url: string) => {
    if (url.startsWith('/_sim/')) return control
    return /^\/api\/v[12]\//.test(url) ? recallApi : zoom
  }
  const server = createServer((request, response) => {
    serverOf(request.url ?? '')
      .serve(request, response)
      .catch((error: Error) => failed(error, response))
  })
  server.keepAliveTimeout = KEEP_ALIVE_MS
  const port = await listen(server, options.port ?? 0, options.host ?? '127.0.0.1')
  const url = `http://127.0.0.1:${port}`
  async function close() {
    closing.abort()
    zoom.faults.clear()
    server.closeAllConnections()
    await new Promise<void>((resolve) => server.close(() => resolve()))
  }
  return Object.defineProperties(
    { url, oauthBaseUrl: url, apiBaseUrl: `${url}/v2`, close },
    Object.getOwnPropertyDescriptors(controls),
  ) as Simulator
}

/** Our own fault, or a client that left in mid-request: the place is shown, the message could hold what was sent. */
function failed(error: Error, response: ServerResponse) {
  if (error instanceof Refusal) return sendReply(response, error.reply)
  if (!response.destroyed) {
    const place = error.stack?.split('\n').find((line) => line.startsWith('    at '))
    console.error(`The simulator failed on a request: ${error.name}${place ?? ''}`)
  }
  response.socket?.destroy()
}

function listen(server: Server, port: number, host: string): Promise<number> {
  return new Promise((resolve, reject) => {
    server.once('error', reject)
    server.listen(port, host, () => resolve((server.address() as AddressInfo).port))
  })
}

function pauseUnless(signal: AbortSignal, delayMs: number): Promise<void> {
  if (signal.aborted) return Promise.resolve()
  return new Promise((resolve) => {
    const done = () => {
      clearTimeout(timer)
      signal.removeEventListener('abort', done)
      resolve()
    }
    const timer = setTimeout(done, delayMs)
    signal.addEventListener('abort', done)
  })
}
