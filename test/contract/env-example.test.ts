import { readFile } from 'node:fs/promises'
import { expect, test } from 'vitest'
import { configSchema, SECRET_NAMES } from '../../src/config.ts'

const root = new URL('../../', import.meta.url)
const names = Object.keys(configSchema.shape)
const example = await readFile(new URL('.env.example', root), 'utf8')

test('.env.example has every name that the service reads, once, and no other', () => {
  const known = [...names, ...SECRET_NAMES.map((name) => `${name}_FILE`)]
  const written = example.split('\n').flatMap((line) => /^#? ?([A-Z][A-Z0-9_]*)=/.exec(line)?.[1] ?? [])
  expect(written.toSorted()).toEqual(known.toSorted())
})

test('.env.example sets nothing, and shows no value for a secret', () => {
  const lines = example.split('\n').filter((line) => line !== '')
  expect(lines.filter((line) => !line.startsWith('#'))).toEqual([])
  const shown = SECRET_NAMES.filter((name) => new RegExp(`^# ${name}(?:_FILE)?=.+$`, 'm').test(example))
  expect(shown).toEqual([])
})

test('docs/configuration.md names every setting, and marks the secrets', async () => {
  const page = await readFile(new URL('docs/configuration.md', root), 'utf8')
  expect(names.filter((name) => !page.includes(`\`${name}\``))).toEqual([])
  expect(SECRET_NAMES.filter((name) => !page.includes(`\`${name}\` †`))).toEqual([])
})
