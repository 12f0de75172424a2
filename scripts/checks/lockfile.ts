import { readFile } from 'node:fs/promises'

interface LockedPackage {
  version?: string
  integrity?: string
  resolved?: string
  link?: boolean
  optionalDependencies?: Record<string, string>
}

const LOCKFILES = ['package-lock.json', 'mutation/package-lock.json']

/**
 * Each package is pinned by hash, and every platform's packages are there: npm writes a lockfile without those it could
 * not see, with which `npm ci` then fails on the machines that need them. No address of a registry is in it: a mirror's
 * would be asked by everybody else too.
 * @returns what is wrong, if anything
 */
export async function checkLockfile(): Promise<string> {
  return (await Promise.all(LOCKFILES.map(problemsOf))).flat().join('\n')
}

async function problemsOf(file: string): Promise<string[]> {
  const { packages } = JSON.parse(await readFile(file, 'utf8')) as {
    packages: Record<string, LockedPackage>
  }
  const paths = Object.keys(packages)
  const isLocked = (name: string) => paths.some((path) => path === name || path.endsWith(`node_modules/${name}`))
  return Object.entries(packages).flatMap(([path, locked]) => {
    if (path === '' || locked.link) return []
    const missing = Object.keys(locked.optionalDependencies ?? {}).filter((name) => !isLocked(name))
    return [
      ...(locked.integrity ? [] : [`${file}: ${path} has no integrity`]),
      ...(locked.resolved ? [`${file}: ${path} names the address it came from`] : []),
      ...missing.map((name) => `${file}: ${path} wants ${name}, which is not in the lockfile`),
    ]
  })
}
