import { spawnSync } from 'node:child_process'
import { mkdtemp, readFile, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { expect, onTestFinished, test } from 'vitest'
import { checkLicences, isAllowedLicence, productionPaths } from '../../scripts/checks/licences.ts'
import { checkLockfile } from '../../scripts/checks/lockfile.ts'

const root = join(import.meta.dirname, '..', '..')

async function sbomText() {
  const folder = await mkdtemp(join(tmpdir(), 'sbom-'))
  onTestFinished(() => rm(folder, { recursive: true }))
  const file = join(folder, 'sbom.json')
  const { status, stderr } = spawnSync(process.execPath, ['scripts/sbom.mjs', file], { cwd: root, encoding: 'utf8' })
  expect([status, stderr]).toEqual([0, expect.any(String)])
  return await readFile(file, 'utf8')
}

test('the bill of materials has every package of production with version, licence and hash, no other, and is the same each time', async () => {
  const text = await sbomText()
  const { bomFormat, metadata, components } = JSON.parse(text)
  expect([bomFormat, metadata.component.name]).toEqual(['CycloneDX', 'latchkey'])
  const { packages } = JSON.parse(await readFile(join(root, 'package-lock.json'), 'utf8'))
  const named = (path: string) => `${path.split('node_modules/').at(-1)}@${packages[path].version}`
  const wanted = new Set(productionPaths(packages).map(named))
  const listed = components.map(({ name, version }: { name: string; version: string }) => `${name}@${version}`)
  expect(listed.toSorted()).toEqual([...wanted].toSorted())
  for (const { name, hashes, licenses } of components)
    expect([name, hashes?.[0]?.alg, licenses?.length]).toEqual([name, 'SHA-512', 1])
  expect(await sbomText()).toBe(text)
})

test('a licence is one of the list, or an expression that leaves one of them to us', () => {
  for (const good of ['MIT', '(MIT OR CC0-1.0)', 'GPL-3.0-only OR MIT', 'MIT AND ISC'])
    expect([good, isAllowedLicence(good)]).toEqual([good, true])
  for (const bad of [
    'GPL-3.0-only',
    'MIT AND GPL-3.0-only',
    'UNLICENSED',
    'SEE LICENSE IN x',
    '',
    undefined,
    { type: 'MIT' },
  ])
    expect([bad, isAllowedLicence(bad)]).toEqual([bad, false])
})

test('every package of production has an allowed licence, and every locked one the hash of what it is', async () => {
  expect(await checkLicences()).toBe('')
  expect(await checkLockfile()).toBe('')
})
