import { execFileSync } from 'node:child_process'
import { readFileSync } from 'node:fs'
import { cpus } from 'node:os'

export interface Usage {
  cpuMs: number
  rssMb: number
}

export interface CoreTimes {
  busyMs: number
  allMs: number
}

const TICKS_PER_SECOND = 100 // USER_HZ of every Linux that Node runs on
const MEBIBYTE = 1024 * 1024

/** CPU time so far and resident memory of a process: from /proc, elsewhere by `ps`, whose CPU times may be whole seconds. */
export function usageOf(pid: number): Usage {
  return process.platform === 'linux' ? usageFromProc(pid) : usageFromPs(pid)
}

/** @see https://man7.org/linux/man-pages/man5/proc_pid_stat.5.html utime is field 14, stime 15; the name may hold spaces */
function usageFromProc(pid: number): Usage {
  const fields = readFileSync(`/proc/${pid}/stat`, 'utf8').split(') ')[1]?.split(' ') ?? []
  const ticks = Number(fields[11]) + Number(fields[12])
  const rssKb = Number(/^VmRSS:\s+(\d+)/m.exec(readFileSync(`/proc/${pid}/status`, 'utf8'))?.[1])
  return { cpuMs: (ticks * 1000) / TICKS_PER_SECOND, rssMb: (rssKb * 1024) / MEBIBYTE }
}

function usageFromPs(pid: number): Usage {
  const [rssKb = '0', time = '0'] = execFileSync('ps', ['-o', 'rss=,time=', '-p', String(pid)], { encoding: 'utf8' })
    .trim()
    .split(/\s+/)
  const seconds = time.split(/[:-]/).reduce((total, part) => total * 60 + Number(part), 0)
  return { cpuMs: seconds * 1000, rssMb: (Number(rssKb) * 1024) / MEBIBYTE }
}

/** Of all cores but the first, whoever used them. */
export function otherCoresTimes(): CoreTimes {
  const sums = { busyMs: 0, allMs: 0 }
  for (const { times } of cpus().slice(1)) {
    const busyMs = times.user + times.nice + times.sys + times.irq
    sums.busyMs += busyMs
    sums.allMs += busyMs + times.idle
  }
  return sums
}
