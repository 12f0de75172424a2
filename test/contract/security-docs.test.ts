import { existsSync } from 'node:fs'
import { readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { expect, test } from 'vitest'

const root = join(import.meta.dirname, '..', '..')
const read = (file: string) => readFile(join(root, file), 'utf8')
const PAGES = ['SECURITY.md', 'docs/asvs.md']

/** Each `path` of the repository that a page names, with the names of tests that stand behind it in brackets. */
function evidenceOf(text: string) {
  const evidence = /`((?:test|src|scripts|docs|docker)\/[\w./-]+)`(?: \(((?:"[^"]+"(?:; )?)+)\))?/g
  return [...text.matchAll(evidence)].map(([, file = '', names = '']) => ({
    file,
    names: [...names.matchAll(/"([^"]+)"/g)].map(([, name = '']) => name),
  }))
}

test.each(PAGES)('every file that %s names is there, and every test that it quotes is in its file', async (page) => {
  const text = await read(page)
  const evidence = evidenceOf(text)
  expect(evidence.length).toBeGreaterThan(50)
  const missing: string[] = []
  for (const { file, names } of evidence) {
    if (!existsSync(join(root, file))) missing.push(file)
    const source = names.length > 0 ? await read(file) : ''
    missing.push(...names.filter((name) => !source.includes(name)).map((name) => `${file}: ${name}`))
  }
  expect(missing).toEqual([])
  // what stands in brackets and quotation marks is a test's name, read above; all but the one button
  const quotes = [...text.matchAll(/(?:\(|; )"([^"]+)"/g)].map(([, name]) => name)
  expect(quotes.filter((name) => name !== 'Report a vulnerability')).toEqual(evidence.flatMap(({ names }) => names))
})

/** How many requirements of levels 1 and 2 each section of ASVS 5.0.0 has; in all of them they come first. */
const SIZES: Record<string, number> = {
  ...{ '1.1': 2, '1.2': 9, '1.3': 11, '1.4': 3, '1.5': 2, '2.1': 3, '2.2': 3, '2.3': 4, '2.4': 1 },
  ...{ '3.2': 2, '3.3': 4, '3.4': 6, '3.5': 5, '3.7': 2, '4.1': 3, '4.2': 1, '4.3': 2, '4.4': 4 },
  ...{ '5.1': 1, '5.2': 3, '5.3': 2, '5.4': 3, '6.1': 3, '6.2': 12, '6.3': 4, '6.4': 4, '6.5': 5, '6.6': 3, '6.8': 4 },
  ...{ '7.1': 3, '7.2': 4, '7.3': 2, '7.4': 5, '7.5': 2, '7.6': 2, '8.1': 2, '8.2': 3, '8.3': 1, '8.4': 1 },
  ...{ '9.1': 3, '9.2': 4, '10.1': 2, '10.2': 2, '10.3': 4, '10.4': 11, '10.5': 5, '10.6': 2, '10.7': 3 },
  ...{ '11.1': 2, '11.2': 3, '11.3': 3, '11.4': 4, '11.5': 1, '11.6': 1, '12.1': 3, '12.2': 2, '12.3': 4 },
  ...{ '13.1': 1, '13.2': 5, '13.3': 2, '13.4': 5, '14.1': 2, '14.2': 4, '14.3': 3, '15.1': 3, '15.2': 3, '15.3': 7 },
  ...{ '16.1': 1, '16.2': 5, '16.3': 4, '16.4': 3, '16.5': 3, '17.1': 1, '17.2': 4, '17.3': 2 },
}

interface Row {
  ids: string[]
  level: number
  status: string
}

function rowsOf(text: string): Row[] {
  const row = /^\| (\d+\.\d+)\.(\d+)(?:–\1\.(\d+))? \| ([123]) \| [^|]+ \| (met|partly|not met|n\/a) \| [^|]+ \|$/gm
  return [...text.matchAll(row)].map(([, section, first, last, level, status = '']) => {
    const count = Number(last ?? first) - Number(first) + 1
    return {
      ids: Array.from({ length: count }, (_, at) => `${section}.${Number(first) + at}`),
      level: Number(level),
      status,
    }
  })
}

test('docs/asvs.md has every requirement of levels 1 and 2, each once, and counts them rightly', async () => {
  const text = await read('docs/asvs.md')
  const rows = rowsOf(text)
  expect(rows.length).toBe([...text.matchAll(/^\| \d+\.\d/gm)].length)
  const ids = rows.flatMap((each) => each.ids)
  expect(ids.length).toBe(new Set(ids).size)
  const wanted = Object.entries(SIZES).flatMap(([section, size]) =>
    Array.from({ length: size }, (_, at) => `${section}.${at + 1}`),
  )
  const ofTwoLevels = rows.filter(({ level }) => level < 3)
  expect(ofTwoLevels.flatMap((each) => each.ids).toSorted()).toEqual(wanted.toSorted())
  const statuses = ['met', 'partly', 'not met', 'n/a']
  const countsOf = (of: Row[]) =>
    statuses.map((status) => of.filter((row) => row.status === status).flatMap((row) => row.ids).length)
  const written = [...text.matchAll(/^\| (?:1 and 2|3) \| (\d+) \| (\d+) \| (\d+) \| (\d+) \|$/gm)]
  expect(written.map(([, ...counts]) => counts.map(Number))).toEqual([
    countsOf(ofTwoLevels),
    countsOf(rows.filter(({ level }) => level === 3)),
  ])
})
