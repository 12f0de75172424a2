import { existsSync } from 'node:fs'

const PLACES = [
  '/usr/bin/chromium',
  '/usr/bin/chromium-browser',
  '/usr/bin/google-chrome',
  '/Applications/Google Chrome.app/Contents/MacOS/Google Chrome',
]

/** As root there is no sandbox to be had, and the browser is to talk to nobody but the test. */
export const CHROMIUM_ARGS = ['--no-sandbox', '--disable-gpu', '--disable-background-networking']

/**
 * Where a Chromium is, `CHROMIUM_PATH` first; null, with one line that says so, where there is none.
 * @throws where `REQUIRE_CHROMIUM` is set
 */
export function findChromium(): string | null {
  const places = [process.env.CHROMIUM_PATH ?? '', ...PLACES]
  const path = places.find((place) => place !== '' && existsSync(place)) ?? null
  if (path) return path
  if (process.env.REQUIRE_CHROMIUM) throw new Error('REQUIRE_CHROMIUM is set, and no Chromium was found')
  // past vitest, which would set several lines around it
  process.stderr.write('SKIPPED: browser tests, for no Chromium was found (name one in CHROMIUM_PATH)\n')
  return null
}
