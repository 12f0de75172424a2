import { expect, test } from 'vitest'
import { headerLines } from '../../../src/lib/header-lines.ts'

test('every line of a header is seen, whatever its case, and a value that reads like its name is not one', () => {
  const raw = ['Host', 'a', 'X-Other', 'host', 'HOST', 'b', 'host', '']
  expect(headerLines(raw, 'host')).toEqual(['a', 'b', ''])
  expect(headerLines(raw, 'authorization')).toEqual([])
})

test('a name at the end without a value is no line', () => {
  expect(headerLines(['Host', 'a', 'Host'], 'host')).toEqual(['a'])
})
