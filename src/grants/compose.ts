import type { FastifyBaseLogger } from 'fastify'
import type { MintSql, Sql } from '../lib/sql.ts'
import type { SecretBox } from '../secrets/box.ts'
import { createAppPauses } from './app-pauses.ts'
import { createBreakers } from './breakers.ts'
import { createGrantCipher } from './cipher.ts'
import { createEndings } from './endings.ts'
import { createHandOver } from './hand-over.ts'
import { createHandOverStore } from './hand-over-store.ts'
import { createKeepAlive } from './keep-alive.ts'
import { createLender } from './lender.ts'
import { createLifeRules } from './life.ts'
import { createLineage } from './lineage.ts'
import { createPersonalRooms } from './personal-rooms.ts'
import { createRedeemer, type RedeemDeps } from './redeem.ts'
import { createRefresher } from './refresh.ts'
import { createRestoreGuard } from './restore-guard.ts'
import { createGrantStore } from './store.ts'
import { createGrantUpkeep } from './upkeep.ts'
import { createGrantVault, type VaultDeps } from './vault.ts'
import { createWatermarks } from './watermarks.ts'

export interface GrantsOptions
  extends Pick<VaultDeps, 'oauth' | 'credentialsOf' | 'owner' | 'isForeign' | 'monotonicNow' | 'metrics'> {
  /** An access token with less life left is renewed in the background, while it is still lent. */
  refreshMarginSeconds: number
  keepAliveHours: number
  users: RedeemDeps['users']
  sql: Sql
  /** The minting path's. */
  mint: MintSql
  /** The same, by connections that requests cannot take. */
  reserve: MintSql
  /** Over the reserved connections: storing a rotation must not queue behind requests for its data key. */
  box: SecretBox
  log: FastifyBaseLogger
  /** 0 to 1; spreads pauses. */
  random: () => number
}

/** The vault with what it stands on. `lineage.check` is for whoever looks now and then whether the database is still the same. */
export function createGrants(options: GrantsOptions) {
  const { sql, mint, reserve, box, log, random, monotonicNow, metrics, isForeign } = options
  const store = createGrantStore({ sql, mint, reserve })
  const watermarks = createWatermarks(monotonicNow)
  const restoreGuard = createRestoreGuard({
    store,
    watermarks,
    log,
    countBackwards: metrics.countBackwards,
    isForeign,
  })
  const lineage = createLineage({ sql, log, onChange: restoreGuard.sweepAll })
  const appPauses = createAppPauses({ sql: mint, log, monotonicNow })
  const breakers = createBreakers({ monotonicNow, random })
  metrics.watchBreakers(breakers.open)
  const parts = {
    ...options,
    store,
    cipher: createGrantCipher(box),
    life: createLifeRules(options.refreshMarginSeconds),
    watermarks,
    restoreGuard,
    lineage,
    breakers,
    appPauses,
  }
  const refresher = createRefresher(parts)
  const vault = createGrantVault({ ...parts, refresher, destroyKeys: box.destroy })
  const redeemer = createRedeemer({ ...parts, admit: vault.admit, remains: refresher.remains })
  const keepAlive = createKeepAlive({ ...options, refresher })
  const grantUpkeep = createGrantUpkeep({ store, vault, restoreGuard, isForeign, showGrants: metrics.showGrants })
  const endings = createEndings({ sql, forget: vault.forgetMemory })
  const handOverStore = createHandOverStore(sql)
  const handOver = createHandOver({ ...parts, handOverStore, refresher, forgetMemory: vault.forgetMemory })
  const lender = createLender(refresher, parts.life)
  const personalRooms = createPersonalRooms(sql)
  return { vault, redeemer, lineage, grantUpkeep, keepAlive, endings, handOver, lender, personalRooms }
}
