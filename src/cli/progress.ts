/** Where a command writes. */
export interface Terminal {
  say: (line: string) => void
  /** Writes without a new line, to a terminal that can take it back; null where there is none. */
  draw: ((text: string) => void) | null
  columns: number
}

const BAR_WIDTH = 24
const PLAIN_STEPS = 10

/** A bar on a terminal that is drawn over itself; elsewhere a line for each tenth. */
export function createProgress({ say, draw, columns }: Terminal, total: number) {
  let told = -1
  return {
    show(done: number, text: string): void {
      const share = total === 0 ? 1 : done / total
      const line = `${done}/${total} ${text}`
      if (draw) {
        const filled = Math.round(share * BAR_WIDTH)
        draw(`\r\u001b[K${`[${'#'.repeat(filled)}${'-'.repeat(BAR_WIDTH - filled)}] ${line}`.slice(0, columns - 1)}`)
        return
      }
      const step = Math.floor(share * PLAIN_STEPS)
      if (step === told) return
      told = step
      say(line)
    },
    end(): void {
      draw?.('\n')
    },
  }
}
