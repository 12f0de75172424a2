import { readdirSync, readFileSync } from 'node:fs'
import { dirname, join, relative } from 'node:path'
import { expect, test } from 'vitest'

const ROOT = join(import.meta.dirname, '..', '..')
const SRC = join(ROOT, 'src')

const files = readdirSync(SRC, { recursive: true, encoding: 'utf8' })
  .filter((path) => path.endsWith('.ts') && !path.startsWith('generated'))
  .map((path) => join(SRC, path))

/** Relative imports of a file, type imports too: they show who knows whom. */
function importsOf(file: string): string[] {
  const text = readFileSync(file, 'utf8')
  const found = text.matchAll(/(?:from|import\()\s*'(\.{1,2}\/[^']+)'/g)
  return [...found].map(([, path]) => join(dirname(file), path as string))
}
const name = (file: string) => relative(SRC, file)
const edges = new Map(files.map((file) => [name(file), importsOf(file).map(name)]))
const featureOf = (file: string) => /^features\/([^/]+)\//.exec(file)?.[1]

test('features never import each other', () => {
  const crossing = [...edges].flatMap(([file, targets]) =>
    targets
      .filter((target) => featureOf(file) && featureOf(target) && featureOf(file) !== featureOf(target))
      .map((target) => `${file} → ${target}`),
  )
  expect(crossing).toEqual([])
})

test('what every layer stands on knows no feature', () => {
  const low = /^(lib|zoom|recall|receivers|grants|secrets|plugins|migrations)\//
  const upward = [...edges].flatMap(([file, targets]) =>
    targets.filter((target) => low.test(file) && target.startsWith('features/')).map((target) => `${file} → ${target}`),
  )
  expect(upward).toEqual([])
})

test('no file imports itself in a circle', () => {
  const done = new Set<string>()
  function walk(file: string, path: string[]): string[] {
    if (path.includes(file)) return [...path.slice(path.indexOf(file)), file]
    if (done.has(file)) return []
    for (const target of edges.get(file) ?? []) {
      const circle = walk(target, [...path, file])
      if (circle.length > 0) return circle
    }
    done.add(file)
    return []
  }
  expect([...edges.keys()].flatMap((file) => walk(file, []))).toEqual([])
})

test('only the process itself listens, exits and reads the environment', () => {
  const allowed = new Set(['server.ts', 'cli/main.ts'])
  const offending = files.map(name).filter((file) => {
    const text = readFileSync(join(SRC, file), 'utf8')
    return (
      !allowed.has(file) && /process\.exit\(|process\.env\b(?!`)/.test(text.replaceAll(/\/\*[\s\S]*?\*\/|\/\/.*/g, ''))
    )
  })
  expect(offending).toEqual([])
})

test('no file of src is longer than 300 lines', () => {
  const long = files.filter((file) => readFileSync(file, 'utf8').split('\n').length > 301)
  expect(long.map(name)).toEqual([])
})
