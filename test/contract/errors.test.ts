import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { expect, test } from 'vitest'
import { CATALOGUE } from '../../src/errors.ts'

const text = readFileSync(join(import.meta.dirname, '..', '..', 'docs', 'errors.md'), 'utf8')
const ROW = /^\| `([a-z_]+)` \| (\d{3}) \| (yes|no) \| (.+?) \| (.+?) \|$/gm
const rows = [...text.matchAll(ROW)].map(([, code, status, again]) => [code, Number(status), again === 'yes'])

test('docs/errors.md documents every error code with its status and whether to try again, and no other', () => {
  const catalogue = Object.entries(CATALOGUE).map(([code, { status, retryable }]) => [code, status, retryable])
  const byCode = (a: unknown[], b: unknown[]) => String(a[0]).localeCompare(String(b[0]))
  expect(rows.toSorted(byCode)).toEqual(catalogue.toSorted(byCode))
})
