import { existsSync } from 'node:fs'
import { glob, readFile } from 'node:fs/promises'
import { dirname, join } from 'node:path'
import { expect, test } from 'vitest'

const root = join(import.meta.dirname, '..', '..')
const pages = (await Array.fromAsync(glob('{*.md,docs/**/*.md}', { cwd: root }))).toSorted()
const read = (page: string) => readFile(join(root, page), 'utf8')

/** Code is no prose: what looks like a link or a heading in it is none. */
const withoutCode = (text: string) =>
  text.replace(/^```.*?^```/gms, '').replace(/`[^`\n]*`/g, (code) => code.slice(1, -1))

/** As GitHub makes them: lower case, no punctuation, hyphens for spaces. */
const anchorsOf = (text: string) =>
  [...withoutCode(text).matchAll(/^#+ (.+)$/gm)].map(([, heading = '']) =>
    heading
      .toLowerCase()
      .replace(/[^\p{L}\p{N} _-]/gu, '')
      .replaceAll(' ', '-'),
  )

async function brokenLinksOf(page: string): Promise<string[]> {
  const targets = [...withoutCode(await read(page)).matchAll(/\]\(([^)\s]+)\)/g)].map(([, target = '']) => target)
  const broken: string[] = []
  for (const target of targets.filter((each) => !/^[a-z]+:/i.test(each))) {
    const [path = '', anchor] = target.split('#')
    const file = path === '' ? page : join(dirname(page), path)
    const exists = existsSync(join(root, file))
    if (!exists || (anchor && !anchorsOf(await read(file)).includes(anchor))) broken.push(`${page}: ${target}`)
  }
  return broken
}

test.each(pages)('every link of %s to a file or a heading of this repository leads there', async (page) => {
  expect(await brokenLinksOf(page)).toEqual([])
})

test('docs/dependencies.md has every direct dependency with its licence, and no other', async () => {
  const locked = await Promise.all(
    ['package-lock.json', 'mutation/package-lock.json'].map(async (file) => JSON.parse(await read(file)).packages),
  )
  const text = await read('docs/dependencies.md')
  const entries = [...text.matchAll(/^(\*\*.+\*\*) \(([^)]+)\)\. /gm)]
  const written = entries.flatMap(([, names = '', licence = '']) =>
    [...names.matchAll(/\*\*(.+?)\*\*/g)].map(([, name = '']) => [name, licence.replace(' or ', ' OR ')]),
  )
  const wanted = locked.flatMap((packages) =>
    Object.keys({ ...packages[''].dependencies, ...packages[''].devDependencies }).map((name) => [
      name,
      packages[`node_modules/${name}`].license,
    ]),
  )
  expect(written.toSorted()).toEqual(wanted.toSorted())
})

test('every decision record says what holds it, and is numbered without a gap', async () => {
  const records = pages.filter((page) => /^docs\/adr\/\d{4}-/.test(page))
  expect(records.map((page) => Number(page.slice(9, 13)))).toEqual(records.map((_, index) => index + 1))
  for (const page of records) expect(await read(page), page).toMatch(/^## Held by$/m)
})

test('the runbook has every message that the service logs at warn, error or fatal', async () => {
  const call = /\blog\.(?:warn|error|fatal)\(\s*(?:\{[^}]*\},\s*)?'([^']+)'/g
  const files = await Array.fromAsync(glob('src/**/*.ts', { cwd: root, exclude: ['src/generated/**'] }))
  const texts = await Promise.all(files.map(read))
  const messages = texts.flatMap((text) => [...text.matchAll(call)].map(([, message = '']) => message))
  const runbook = await read('docs/operations/runbook.md')
  expect(messages.length).toBeGreaterThan(10)
  expect(messages.filter((message) => !runbook.includes(`\`${message.split(':')[0]}`))).toEqual([])
})
