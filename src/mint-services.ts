import type { FastifyInstance } from 'fastify'
import { createAccountMap } from './features/meetings/account-store.ts'
import { createMeetingLookup } from './features/meetings/lookup.ts'
import { createLookupStore } from './features/meetings/lookup-store.ts'
import { createLedger } from './features/mints/ledger.ts'
import { createLedgerStore } from './features/mints/ledger-store.ts'
import { createMintService } from './features/mints/service.ts'
import { createMintStore } from './features/mints/store.ts'
import { createLendingService } from './features/tokens/lending.ts'
import { createTokenService } from './features/tokens/service.ts'
import type { createFoundation } from './foundation.ts'
import { createQuota } from './lib/quota.ts'
import { createSemaphore } from './lib/semaphore.ts'
import type { Metrics } from './plugins/metrics.ts'

// a tenant whose bots ask for meetings of strangers spends no more of Zoom's limits, which are its customers'
const QUESTIONS_PER_TENANT = { max: 60, windowMs: 60_000 }
// of the 128 sockets to Zoom's API that mints use
const QUESTIONS_AT_ONCE = 16
const QUESTIONS_WAITING = 200

function createLookup(app: FastifyInstance, foundation: ReturnType<typeof createFoundation>, metrics: Metrics) {
  const monotonicNow = () => performance.now()
  return createMeetingLookup({
    store: createLookupStore(app.mintSql),
    accounts: createAccountMap(app.mintSql),
    vault: foundation.vault,
    ownerOf: foundation.zoomMeetingOwner.ownerOf,
    quota: createQuota({ ...QUESTIONS_PER_TENANT, monotonicNow }),
    calls: createSemaphore(QUESTIONS_AT_ONCE, QUESTIONS_WAITING),
    zoomTimeoutMs: app.config.ZOOM_TIMEOUT_MS,
    monotonicNow,
    count: metrics.countLookup,
    countQuestion: metrics.countLookupQuestion,
  })
}

/** What a bot's URL answers, and the ledger of it. */
export function createMintServices(
  app: FastifyInstance,
  foundation: ReturnType<typeof createFoundation>,
  metrics: Metrics,
) {
  const { config, prisma, sql, mintSql: mint, log } = app
  const { countMint, countUnsigned } = metrics
  const ledger = createLedger({ store: createLedgerStore({ sql, mint }), log, countMint, countUnsigned })
  const { openLent, settle, targetNow } = ledger
  const { lend } = foundation.lender
  const { lookUp } = createLookup(app, foundation, metrics)
  return {
    ledger,
    tokens: createTokenService({
      vault: foundation.vault,
      lend,
      mintAtZoom: foundation.zoomMint.mint,
      settle,
      lookUp,
      targetNow,
      zoomTimeoutMs: config.ZOOM_TIMEOUT_MS,
    }),
    lending: createLendingService({ lend, openLent, settle }),
    mints: createMintService({ store: createMintStore(prisma), cursors: foundation.cursors }),
  }
}
