import { readFileSync, rmSync, writeFileSync } from 'node:fs'
import { setTimeout as sleep } from 'node:timers/promises'

/**
 * Runs `work` while this process alone holds the lock file, which keeps the holder's pid. The lock of a process that
 * died is taken over; a living holder is waited for, up to `timeoutMs`.
 * @template T
 * @param {string} file
 * @param {() => T | Promise<T>} work
 * @param {number} [timeoutMs] default 10 minutes: an install over a slow line
 * @returns {Promise<T>}
 */
export async function withLock(file, work, timeoutMs = 600_000) {
  const giveUpAt = Date.now() + timeoutMs
  while (!tryToTake(file)) {
    if (Date.now() > giveUpAt) throw new Error(`Another process holds ${file}. If none does, delete that file.`)
    await sleep(50)
  }
  try {
    return await work()
  } finally {
    rmSync(file, { force: true })
  }
}

/** @param {string} file */
function tryToTake(file) {
  try {
    writeFileSync(file, String(process.pid), { flag: 'wx' })
    return true
  } catch (error) {
    if (error.code !== 'EEXIST') throw error
  }
  if (!isHolderAlive(file)) rmSync(file, { force: true })
  return false
}

/** @param {string} file */
function isHolderAlive(file) {
  try {
    const pid = Number(readFileSync(file, 'utf8'))
    if (pid === 0) return true // created this instant, pid not written yet
    process.kill(pid, 0)
    return true
  } catch (error) {
    return error.code === 'EPERM' // somebody else's process is a process; ESRCH and ENOENT mean that it is gone
  }
}
