// node scripts/leave-postgres.ts <data folder>: stops an embedded Postgres that nobody uses any more
import { startEmbeddedPostgres } from './embedded-postgres.ts'

const [dataDir] = process.argv.slice(2)
if (dataDir) {
  const server = await startEmbeddedPostgres({ dataDir })
  await server.stop()
}
