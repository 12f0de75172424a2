import { readFile } from 'node:fs/promises'
import { createRequire } from 'node:module'
import { join } from 'node:path'
import type { MigrationList, SchemaContainer, SchemaEngine } from '@prisma/schema-engine-wasm'
import { createAdapterFactory } from './adapter.ts'
import { migrationNames } from './directory.ts'

const require = createRequire(import.meta.url)
const NO_FILTERS = { externalTables: [], externalEnums: [] }

export interface MigrationEngine {
  /** Applies what the database has not had, oldest first, in Prisma's own history table. @returns the names */
  apply(): Promise<string[]>
  /** Ours that were begun and not finished: the process died, or the script failed. */
  unfinished(): Promise<string[]>
  /** Notes that nothing of a begun migration remains, so that `apply` takes it up again. */
  markRolledBack(name: string): Promise<void>
  /** SQL that leads from what the migrations make to what the schema says; empty when they agree. */
  diffToSchema(): Promise<string>
}

export interface EngineOptions {
  /** A direct connection, not one through a pooler; `diffToSchema` needs a role that may create databases. */
  connectionString: string
  schemaPath: string
  migrationsDir: string
}

/**
 * Prisma's schema engine, the one behind `prisma migrate`, as the WebAssembly that Prisma publishes: no download, and a
 * database it has migrated can be handed to Prisma's CLI and back. Loading it takes some 100 ms and 30 MB, so callers
 * import this file only when there is something to do.
 */
export async function withMigrationEngine<T>(
  options: EngineOptions,
  work: (engine: MigrationEngine) => Promise<T>,
): Promise<T> {
  glue ??= loadEngine()
  const { SchemaEngine } = await glue
  const schema = { path: options.schemaPath, content: await readFile(options.schemaPath, 'utf8') }
  const migrationsList = await readMigrations(options.migrationsDir)
  const { factory, closeAll } = createAdapterFactory(options.connectionString)
  try {
    const engine = await SchemaEngine.new({ datamodels: [[schema.path, schema.content]] }, ignoreLog, factory)
    return await work(describeEngine(engine, schema, migrationsList))
  } finally {
    await closeAll()
  }
}

function describeEngine(engine: SchemaEngine, schema: SchemaContainer, migrationsList: MigrationList): MigrationEngine {
  return {
    async apply() {
      return (await engine.applyMigrations({ migrationsList, filters: NO_FILTERS })).appliedMigrationNames
    },
    async unfinished() {
      const query = { migrationsList, optInToShadowDatabase: false, filters: NO_FILTERS }
      return (await engine.diagnoseMigrationHistory(query)).failedMigrationNames
    },
    async markRolledBack(migrationName) {
      await engine.markMigrationRolledBack({ migrationName })
    },
    async diffToSchema() {
      const { exitCode, stdout } = await engine.diff({
        from: { tag: 'migrations', ...migrationsList },
        to: { tag: 'schemaDatamodel', files: [schema] },
        script: true,
        exitCode: true,
        filters: NO_FILTERS,
      })
      return exitCode === 0 ? '' : (stdout ?? '')
    },
  }
}

function ignoreLog(): void {
  // the engine logs the SQL it runs; what went wrong is in the error it throws
}

type Glue = { SchemaEngine: typeof SchemaEngine }

/** Once per process: Prisma's glue code holds the memory of one instance in a variable of its module. */
let glue: Promise<Glue> | undefined

/** As much of it as is used here: TypeScript declares it for browsers only. */
declare const WebAssembly: {
  instantiate(bytes: Uint8Array, imports: object): Promise<{ instance: { exports: Record<string, unknown> } }>
}

/** What the package's own entry file does, but that imports `.wasm` as a module, which Node has no flagless way to do. */
async function loadEngine(): Promise<Glue> {
  const glue = await import('@prisma/schema-engine-wasm/schema_engine_bg')
  const wasm = await readFile(join(require.resolve('@prisma/schema-engine-wasm'), '..', 'schema_engine_bg.wasm'))
  const { instance } = await WebAssembly.instantiate(wasm, { './schema_engine_bg.js': { ...glue } })
  glue.__wbg_set_wasm(instance.exports)
  Object.assign(globalThis, { PRISMA_WASM_PANIC_REGISTRY: { set_message: reportPanic } })
  const { __wbindgen_start: start } = instance.exports
  if (typeof start === 'function') start()
  return glue
}

/** Called by the engine before it traps; thrown from here, the message is seen instead of `unreachable`. */
function reportPanic(message: string): never {
  throw new Error(`Prisma's schema engine failed: ${message}`)
}

async function readMigrations(migrationsDir: string): Promise<MigrationList> {
  const lockfile = { path: 'migration_lock.toml' }
  const read = async (path: string) => {
    const value = await readFile(join(migrationsDir, path, 'migration.sql'), 'utf8')
    return { path, migrationFile: { path: 'migration.sql', content: { tag: 'ok' as const, value } } }
  }
  return {
    baseDir: migrationsDir,
    lockfile: { ...lockfile, content: await readFile(join(migrationsDir, lockfile.path), 'utf8') },
    shadowDbInitScript: '',
    migrationDirectories: await Promise.all((await migrationNames(migrationsDir)).map(read)),
  }
}
