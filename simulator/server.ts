import { createServer, type Server } from 'node:http'
import type { AddressInfo } from 'node:net'
import { createControl } from './control.ts'
import { createControls, type Simulator, type SimulatorOptions } from './handle.ts'
import { createRecallCaller } from './recall.ts'
import { seedSchema } from './seed.ts'
import { createState, parseInput } from './state.ts'
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
  const controls = createControls({ state, zoom, recall: createRecallCaller(), seed, modes: options.modes ?? {} })
  const control = createControl(controls, { state, zoom })
  const server = createServer((request, response) => {
    const serve = request.url?.startsWith('/_sim/') ? control.serve : zoom.serve
    serve(request, response).catch(() => response.socket?.destroy())
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
