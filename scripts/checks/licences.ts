import { readFile } from 'node:fs/promises'

/** What a licence may be of a package that the image carries, by SPDX id: all let us ship it unchanged under Apache-2.0. */
const ALLOWED = new Set(
  'MIT Apache-2.0 BSD-2-Clause BSD-3-Clause ISC 0BSD BlueOak-1.0.0 CC0-1.0 Unlicense Python-2.0'.split(' '),
)

interface LockedPackage {
  dev?: boolean
  optional?: boolean
  devOptional?: boolean
  integrity?: string
}

/** What `npm ci --omit=dev --omit=optional` installs, as the image does: paths of package-lock.json. */
export function productionPaths(packages: Record<string, LockedPackage>): string[] {
  return Object.entries(packages)
    .filter(([path, { dev, optional, devOptional }]) => path !== '' && !dev && !optional && !devOptional)
    .map(([path]) => path)
}

/** Of an SPDX expression: one of its alternatives is enough, and of what is joined by AND all. No other nesting is read. */
export function isAllowedLicence(expression: unknown): boolean {
  if (typeof expression !== 'string') return false
  const alternatives = expression.replace(/^\((.*)\)$/, '$1').split(' OR ')
  return alternatives.some((each) => each.split(' AND ').every((id) => ALLOWED.has(id)))
}

/**
 * Every package that production runs with, dependencies of dependencies too, has a licence that we may ship it under, by
 * its own package.json.
 * @returns what is wrong, if anything
 */
export async function checkLicences(): Promise<string> {
  const { packages } = JSON.parse(await readFile('package-lock.json', 'utf8'))
  const problems = productionPaths(packages).map(async (path) => {
    const { license } = JSON.parse(await readFile(`${path}/package.json`, 'utf8'))
    return isAllowedLicence(license) ? [] : [`${path} has the licence ${JSON.stringify(license)}, which is not allowed`]
  })
  return (await Promise.all(problems)).flat().join('\n')
}
