import { glob, readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { expect, test } from 'vitest'

const root = join(import.meta.dirname, '..', '..')
const files = await Array.fromAsync(glob('src/**/*.ts', { cwd: root, exclude: ['src/generated/**'] }))
const sources = await Promise.all(
  files.toSorted().map(async (file) => ({ file, text: await readFile(join(root, file), 'utf8') })),
)
/** Where a pattern is found, as `file: text`, comments aside. */
const placesOf = (pattern: RegExp) =>
  sources.flatMap(({ file, text }) =>
    [
      ...text
        .replace(/\/\*.*?\*\//gs, '')
        .replace(/\/\/ .*$/gm, '')
        .matchAll(pattern),
    ].map((found) => ({ file, found })),
  )

const OPERAND = String.raw`[\w$.?!]+(?:\([^()]*\)|\[[^\]]*\])*[\w$.?!]*`
const NAME_OF_SECRET = /(secret|token|signature|\bsig\b|hash|\bmac\b|digest|verifier|binding|password|apikey)/i
/** Whether something is there, of which kind it is or whose: no value of a secret. */
const NO_VALUE = /^(undefined|null|true|false|\d+|[A-Z_]+)$|\.(length|status\w*|kind|size|\w*Id)$/

/** Each is no check of what a stranger presents; whoever adds one says why. */
const COMPARED_IN_THE_OPEN = [
  // two rows of one import, both from the same caller
  'src/features/hosts/import-service.ts: user === token',
  // whether the owner's PATCH changes the secret that the owner stored
  'src/features/tenants/zoom-apps/sealed-secrets.ts: next === secret.current',
]

test('nothing that is named like a secret is compared with an operator that stops at the first difference', () => {
  const comparisons = placesOf(new RegExp(`(typeof )?(${OPERAND}) (?:===|!==|==|!=) ('[^']*'|${OPERAND})`, 'g'))
  const told = comparisons
    .filter(({ found: [, type, left = '', right = ''] }) => {
      const isOfValues = !type && ![left, right].some((side) => NO_VALUE.test(side) || side.startsWith("'"))
      return isOfValues && [left, right].some((side) => NAME_OF_SECRET.test(side))
    })
    .map(({ file, found }) => `${file}: ${found[0]}`)
  expect(comparisons.length).toBeGreaterThan(100)
  expect(told.toSorted()).toEqual(COMPARED_IN_THE_OPEN)
})

/** Spread of retries and rounds, which may be guessed. */
const JITTER = ['src/foundation.ts', 'src/lib/deadline.ts', 'src/server.ts', 'src/services.ts']

test('Math.random spreads waiting times and makes nothing else', () => {
  expect(placesOf(/Math\.random/g).map(({ file }) => file)).toEqual(JITTER)
})

test('cryptography is node:crypto alone, with SHA-256 and AES-256-GCM and nothing weaker', () => {
  const imported = placesOf(/from '([^']*(?:crypto|cipher|bcrypt|jose|jsonwebtoken)[^']*)'/g).map(
    ({ found }) => found[1],
  )
  expect([...new Set(imported.filter((name) => !name?.startsWith('.')))]).toEqual(['node:crypto'])
  const named = placesOf(/\b(?:hash|createHash|createHmac|hkdfSync)\('([^']+)'/g).map(({ found }) => found[1])
  expect([...new Set(named)]).toEqual(['sha256'])
  const ciphers = placesOf(/\bcreate(?:Cipher|Decipher)iv\('([^']+)'/g).map(({ file, found }) => `${file} ${found[1]}`)
  expect([...new Set(ciphers)]).toEqual(['src/lib/sealing.ts aes-256-gcm'])
})
