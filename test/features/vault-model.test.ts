import { randomBytes } from 'node:crypto'
import fc from 'fast-check'
import pg from 'pg'
import pino from 'pino'
import { afterAll, afterEach, beforeAll, expect, test, vi } from 'vitest'
import { createLocalKeyring } from '../../src/lib/sealing.ts'
import { createSql } from '../../src/lib/sql.ts'
import { createTestDatabase, type TestDatabase } from '../helpers/database.ts'
import { commands } from '../model/commands.ts'
import { settle } from '../model/settle.ts'
import { createWorld, type World } from '../model/world.ts'
import type { ZoomModes } from '../model/zoom.ts'

// docs/configuration.md says how to run more of them, and how to run one that failed again
const RUNS_ASKED_FOR = process.env.VAULT_MODEL_RUNS
const RUNS = Number(RUNS_ASKED_FOR ?? 200)
const [SEED, PATH, REPLAY_PATH] = process.env.VAULT_MODEL_REPLAY?.split(' ') ?? []
const COMMANDS = 30
const ZOOM_APP_ID = '00000000-0000-7000-8000-00000000000a'
const keyring = createLocalKeyring([{ kid: 'model', key: randomBytes(32) }])
const log = pino({ level: 'silent' })
const tally = new Map<string, number>()

let database: TestDatabase
let pool: pg.Pool

beforeAll(async () => {
  database = await createTestDatabase()
  pool = new pg.Pool({ connectionString: database.adminUrl, max: 4, idleTimeoutMillis: 0 }) // no timers: time is the commands'
  await pool.query(
    `INSERT INTO zoom_apps (id, kind, client_id, managed_by) VALUES ($1, 'user', 'model-app', 'environment')`,
    [ZOOM_APP_ID],
  )
})
afterAll(async () => {
  await pool.end()
  await database.drop()
})
afterEach(() => {
  vi.useRealTimers()
  vi.restoreAllMocks()
})

const modes: fc.Arbitrary<ZoomModes> = fc.record({
  familyRevocation: fc.boolean(),
  refreshKillsAccessToken: fc.boolean(),
  namesSuperseded: fc.boolean(),
  graceSeconds: fc.constantFrom(0, 0, 0, 30),
})

async function play(drawn: ZoomModes, steps: Parameters<typeof fc.asyncModelRun>[1]): Promise<void> {
  vi.useFakeTimers({ toFake: ['setTimeout', 'clearTimeout'] })
  let world: World | undefined
  try {
    const real = await createWorld({ sql: createSql(pool), keyring, log, zoomAppId: ZOOM_APP_ID, modes: drawn })
    world = real
    await fc.asyncModelRun(() => ({ model: { world: real }, real }), steps)
    await settle(real)
  } finally {
    for (const [what, count] of world?.ledger.tally ?? []) tally.set(what, (tally.get(what) ?? 0) + count)
    world?.close()
    vi.useRealTimers()
  }
}

test('whatever is lost, late, repeated, killed or refused: a grant holds the living pair, or says rightly why not', {
  timeout: 30_000 + RUNS * 1000,
}, async () => {
  vi.spyOn(Math, 'random').mockReturnValue(0.5) // pauses of one length, so that a seed tells the whole story
  await fc.assert(fc.asyncProperty(modes, commands(COMMANDS, REPLAY_PATH), play), {
    numRuns: RUNS,
    ...(SEED ? { seed: Number(SEED) } : {}),
    ...(PATH ? { path: PATH, endOnFailure: true } : {}),
  })
  if (RUNS_ASKED_FOR) console.log(Object.fromEntries([...tally].toSorted()))
  if (!PATH) expect(tally.get('stored')).toBeGreaterThan(RUNS) // where nothing happens, nothing is proved
})
