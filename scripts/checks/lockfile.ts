import { readFile } from 'node:fs/promises'

interface LockedPackage {
  version?: string
  integrity?: string
  link?: boolean
  optionalDependencies?: Record<string, string>
}

/**
 * Each package is pinned by hash, and every platform's packages are there: npm writes a lockfile without those it could
 * not see, with which `npm ci` then fails on the machines that need them.
 * @returns what is wrong, if anything
 */
export async function checkLockfile(): Promise<string> {
  const { packages } = JSON.parse(await readFile('package-lock.json', 'utf8')) as {
    packages: Record<string, LockedPackage>
  }
  const paths = Object.keys(packages)
  const isLocked = (name: string) => paths.some((path) => path === name || path.endsWith(`node_modules/${name}`))
  const problems = Object.entries(packages).flatMap(([path, locked]) => {
    if (path === '' || locked.link) return []
    const missing = Object.keys(locked.optionalDependencies ?? {}).filter((name) => !isLocked(name))
    return [
      ...(locked.integrity ? [] : [`${path} has no integrity`]),
      ...missing.map((name) => `${path} wants ${name}, which is not in the lockfile`),
    ]
  })
  return problems.join('\n')
}
