import { createHash } from 'node:crypto'
import { tmpdir, userInfo } from 'node:os'
import { join } from 'node:path'
import { type EmbeddedPostgres, startEmbeddedPostgres } from './embedded-postgres.ts'

/**
 * A server for tests and checks, in the temporary folder and without fsync. The cluster is kept between runs, one per
 * checkout and user: starting it again takes a third of making it.
 */
export function startScratchPostgres(): Promise<EmbeddedPostgres> {
  const checkout = createHash('sha256')
    .update(import.meta.dirname)
    .digest('hex')
    .slice(0, 12)
  const dataDir = join(tmpdir(), `latchkey-test-${userInfo().username}-${checkout}`, 'postgres')
  return startEmbeddedPostgres({ dataDir, durable: false })
}
