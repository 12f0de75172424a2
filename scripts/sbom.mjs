// node scripts/sbom.mjs [file]: writes what production runs with, as CycloneDX JSON, from package-lock.json and without a
// network. Plain JavaScript on Node's own modules, since the image is built with it before anything is installed.
import { spawnSync } from 'node:child_process'
import { createHash } from 'node:crypto'
import { readFileSync, writeFileSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { fileURLToPath } from 'node:url'

const root = dirname(dirname(fileURLToPath(import.meta.url)))
const file = process.argv[2] ?? join(root, 'sbom.cdx.json')
const args = ['sbom', '--sbom-format=cyclonedx', '--package-lock-only', '--sbom-type=application', '--loglevel=error']
const cli = process.env.npm_execpath?.endsWith('npm-cli.js') ? process.env.npm_execpath : undefined
const options = { cwd: root, encoding: 'utf8', maxBuffer: 64 * 1024 * 1024, stdio: ['ignore', 'pipe', 'inherit'] }
const run = cli
  ? spawnSync(process.execPath, [cli, ...args], options)
  : spawnSync('npm', args, { ...options, shell: process.platform === 'win32' })
if (run.status !== 0) throw new Error('npm sbom failed. The lines above say why.')

const sbom = JSON.parse(run.stdout)
// what `npm ci --omit=dev --omit=optional` installs. npm's own `sbom --omit=dev` (11.19) leaves out what a development
// dependency needs as well, pg and zod among it
const { packages } = JSON.parse(readFileSync(join(root, 'package-lock.json'), 'utf8'))
const refs = Object.entries(packages)
  .filter(([path, { dev, optional, devOptional }]) => path !== '' && !dev && !optional && !devOptional)
  .map(([path, { version }]) => `${path.split('node_modules/').at(-1)}@${version}`)
const isInProduction = new Set([...refs, sbom.metadata.component['bom-ref']])
sbom.components = sbom.components.filter((each) => isInProduction.has(each['bom-ref']))
sbom.dependencies = sbom.dependencies
  .filter(({ ref }) => isInProduction.has(ref))
  .map(({ ref, dependsOn }) => ({ ref, dependsOn: dependsOn.filter((each) => isInProduction.has(each)) }))
for (const component of sbom.components) {
  component.scope = 'required'
  component.properties = []
}
const { name } = JSON.parse(readFileSync(join(root, 'package.json'), 'utf8'))
sbom.metadata.component.name = name // npm takes the name of the folder
// the same lockfile gives the same file: no time, and a serial number of its content
delete sbom.metadata.timestamp
delete sbom.serialNumber
const digest = createHash('sha256').update(JSON.stringify(sbom)).digest('hex')
const [a, b, c] = [digest.slice(0, 8), digest.slice(8, 12), digest.slice(13, 16)]
sbom.serialNumber = `urn:uuid:${a}-${b}-8${c}-8${digest.slice(17, 20)}-${digest.slice(20, 32)}` // version 8, RFC 9562
writeFileSync(file, `${JSON.stringify(sbom, null, 2)}\n`)
console.log(`${file}: ${sbom.components.length} components`)
