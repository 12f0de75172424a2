import { type Simulator, startSimulator } from './server.ts'
import { ControlError } from './state.ts'

const DEFAULT_PORT = 4010

/** Ports and seed from the environment. @throws ControlError naming the variable that is wrong */
function optionsFrom(env: NodeJS.ProcessEnv) {
  const given = env.SIMULATOR_PORT || env.PORT || String(DEFAULT_PORT)
  const port = Number(given)
  if (!Number.isInteger(port) || port < 0 || port > 65_535) throw new ControlError('PORT: expected 0 to 65535')
  return { port, host: env.SIMULATOR_HOST || '0.0.0.0', seed: seedFrom(env.SIMULATOR_SEED) }
}

function seedFrom(text: string | undefined) {
  if (!text) return {}
  try {
    return JSON.parse(text)
  } catch {
    throw new ControlError('SIMULATOR_SEED: expected JSON')
  }
}

const banner = ({
  url,
  oauthBaseUrl,
  apiBaseUrl,
}: Simulator) => `Latchkey simulator: a strict stand-in for Zoom and Recall
  ZOOM_OAUTH_BASE_URL  ${oauthBaseUrl}
  ZOOM_API_BASE_URL    ${apiBaseUrl}
  apps                 simulator-client-id (user), simulator-account-client-id (account)
  hosts                host@example.com (meeting 85996249517), other-host@example.com (meeting 82345678901)
  control API          ${url}/_sim/…  (docs/simulator.md)`

try {
  const simulator = await startSimulator(optionsFrom(process.env))
  console.log(banner(simulator))
  const stop = () => simulator.close().then(() => process.exit(0))
  process.once('SIGTERM', stop)
  process.once('SIGINT', stop)
} catch (error) {
  const reason = error instanceof ControlError ? error.message : (error as { code?: string }).code
  console.error(`The simulator cannot start: ${reason ?? 'unexpected error'}`)
  process.exit(1)
}
