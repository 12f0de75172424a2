import { enableCompileCache } from 'node:module'
import { dirname, join } from 'node:path'
import closeWithGrace from 'close-with-grace'
import { destination } from 'pino'

// Before anything of ours is loaded: a second start then finds its code compiled and its types stripped, in half the time. In the
// checkout and not in Node's own folder under /tmp, where whoever else works on this machine could put code for us to run.
// NODE_COMPILE_CACHE, which npm start and the image set, comes first; where it cannot be written it is silently off.
enableCompileCache(join(dirname(import.meta.dirname), '.data', 'compile-cache'))
const { buildApp } = await import('./app.ts')
const { ConfigError } = await import('./config.ts')
const { AppError } = await import('./errors.ts')
const { readEnvironment } = await import('./environment.ts')
const { startRounds } = await import('./jobs/rounds.ts')
const { jobRounds } = await import('./jobs/tasks.ts')
const { sleep } = await import('./lib/deadline.ts')
const { createLogStream } = await import('./plugins/log-stream.ts')
const { createMetricsServer } = await import('./plugins/metrics.ts')
const { StartError } = await import('./startup.ts')

// what is in flight ends well within it; a write of a rotated token alone may take longer and is waited for
const REQUESTS_LIMIT_MS = 15_000
// how long a balancer has to see in /readyz that we are leaving, before the port closes
const NOTICE_MS = 1000
// for what a job has just begun; whoever still waits for Zoom or for another replica then is left, and later done again
const JOBS_LIMIT_MS = 2000
const STOP_LIMIT_MS = 10 * 60_000

async function start(): Promise<void> {
  const { env, generated, stop } = await readEnvironment(process.env, dirname(import.meta.dirname))
  const logStream = createLogStream(destination(1))
  process.once('exit', logStream.flush) // however it ends, a signal or an uncaught error included
  const { app, services, readiness, metrics, prepare } = await buildApp({ env, logStream }).catch(
    async (error: unknown) => {
      await stop()
      throw error
    },
  )
  const { config, log } = app
  const metricsServer = createMetricsServer(metrics)
  let stopJobs = async () => {}

  // registered before anything can fail, so that whatever was started is stopped in order
  closeWithGrace({ delay: STOP_LIMIT_MS, logger: false }, async ({ signal, err }) => {
    // a terminal's Ctrl-C reaches us twice, through npm too: the second signal must not cut short what the first began
    for (const name of ['SIGINT', 'SIGTERM'] as const) {
      process.removeAllListeners(name)
      process.on(name, () => {})
    }
    if (err) log.fatal({ err }, 'stopping after an unexpected error')
    else log.info({ signal }, 'stopping: no new requests, those in flight finish')
    readiness.stopping()
    const jobsEnded = Promise.race([stopJobs(), sleep(JOBS_LIMIT_MS)])
    await app.lastAnswers(NOTICE_MS, REQUESTS_LIMIT_MS)
    await jobsEnded
    const closed = app.close()
    app.server.closeAllConnections() // what is still open has asked nothing: pre-opened or idle sockets
    await closed
    await services.vault.drain()
    metricsServer.close()
    metricsServer.closeAllConnections()
    await stop()
    log.info('stopped')
  })

  await prepare()
  const names = [...new Set([...config.insecureDefaults, ...generated])]
  if (!config.isProduction) log.warn({ names }, 'development defaults are in force: not for production')
  await app.listen({ host: config.HOST, port: config.PORT })
  if (config.METRICS_PORT > 0) metricsServer.listen(config.METRICS_PORT, config.HOST)
  const { lookAtDatabase, installation } = services
  const stopRounds = startRounds({
    rounds: jobRounds(services, config),
    lookAtDatabase,
    isForeign: installation.isForeign,
    log,
    random: Math.random,
  })
  stopJobs = async () => {
    await stopRounds() // first: a round could start the queue again
    await services.jobQueue.stop(JOBS_LIMIT_MS)
  }
  log.info({ url: config.PUBLIC_BASE_URL }, 'ready')
}

start().catch((error: unknown) => {
  const isOurs = error instanceof ConfigError || error instanceof StartError || error instanceof AppError
  process.stderr.write(`${isOurs ? error.message : error instanceof Error ? error.stack : 'unknown error'}\n`)
  process.exit(1)
})
