import { readFileSync } from 'node:fs'
import { expect, test } from 'vitest'
import { configSchema, SECRET_NAMES } from '../../src/config.ts'

// set by the image or by compose itself, or refused in production
const NOT_PASSED = ['NODE_ENV', 'HOST', 'PORT', 'METRICS_PORT', 'MIGRATE_ON_START', 'ALLOW_HTTP_UPSTREAM']

const read = (file: string) => readFileSync(new URL(`../../${file}`, import.meta.url), 'utf8')
const keysOf = (text: string) => [...text.matchAll(/^\s+([A-Z][A-Z_]+):/gm)].map(([, name]) => name ?? '')

test('compose hands every setting of the service on, and none that it does not know', () => {
  const [, shared = ''] = /^x-environment: &environment\n((?: .*\n)+)/m.exec(read('docker-compose.yml')) ?? []
  const wanted = Object.keys(configSchema.shape).filter(
    (name) => ![...NOT_PASSED, 'DATABASE_MIGRATION_URL'].includes(name),
  )
  expect(keysOf(shared).sort()).toEqual(wanted.sort())
})

test('every secret can be given to compose as a file', () => {
  const names = keysOf(read('docker-compose.secrets.yml'))
  for (const name of SECRET_NAMES) expect(names).toContain(`${name}_FILE`)
})

test('the image gives Node and its memory allocator the settings of npm start', () => {
  const { start } = JSON.parse(read('package.json')).scripts
  const dockerfile = read('Dockerfile')
  for (const flag of ['max-semi-space-size', 'max-old-space-size', 'MALLOC_ARENA_MAX', 'MALLOC_TRIM_THRESHOLD_']) {
    const setting = new RegExp(`${flag}=[0-9]+`)
    expect(setting.exec(dockerfile)?.[0], flag).toBeDefined()
    expect(setting.exec(dockerfile)?.[0]).toBe(setting.exec(start)?.[0])
  }
})
