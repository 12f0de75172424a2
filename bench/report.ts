import type { Memory, Pair, Round, Statements, Throughput } from './phases.ts'

const line = (...cells: (string | number)[]) => {
  const [first = '', ...rest] = cells.map(String)
  return `  ${first.padEnd(26)}${rest.map((cell) => cell.padStart(13)).join('')}`
}
const whole = (value: number) => Math.round(value).toLocaleString('en-GB')
const share = (value: number) => `${Math.round(value * 100)} %`

function roundLine(name: string, round: Round): string {
  const { perSecond, cpuMicrosPerRequest, coreShare, generatorShare, otherCoresShare, failed } = round
  const broken = Object.entries(failed).map(([what, count]) => ` ${what}: ${count}`)
  const cells = [
    whole(perSecond),
    whole(cpuMicrosPerRequest),
    ...[coreShare, otherCoresShare, generatorShare].map(share),
  ]
  return line(name, ...cells) + (broken.length > 0 ? `  failed${broken}` : '')
}

export const throughputHeading = () => line('', 'per second', 'CPU µs each', 'of its core', 'other cores', 'generator')

export const pairLines = ({ service, forwarder, throughputRatio, cpuRatio }: Pair) => [
  roundLine('Latchkey', service),
  roundLine('bare forwarder', forwarder),
  line('  ratio', throughputRatio.toFixed(2), cpuRatio.toFixed(2)),
]

export const ratioLine = ({ medianThroughputRatio, medianCpuRatio }: Throughput) =>
  line('median ratio', medianThroughputRatio.toFixed(2), medianCpuRatio.toFixed(2))

export function statementLines({
  mints,
  zoomRequestsPerMint,
  databaseStatementsPerMint,
  byName,
}: Statements): string[] {
  return [
    line(`in ${whole(mints)} mints`, 'count', 'per mint'),
    line('requests to Zoom', whole(zoomRequestsPerMint * mints), zoomRequestsPerMint.toFixed(4)),
    line('database statements', whole(databaseStatementsPerMint * mints), databaseStatementsPerMint.toFixed(4)),
    ...Object.entries(byName).map(([name, { count, perMint }]) => line(`  ${name}`, whole(count), perMint.toFixed(4))),
  ]
}

export function memoryLines({ mints, startMb, samples, peakMb, zoomRequestsPerMint }: Memory): string[] {
  const shown = samples.filter((_, index) => index % 4 === 3)
  return [
    line('resident memory', 'MiB'),
    line('  after its start', whole(startMb)),
    ...shown.map((sample) => line(`  after ${whole(sample.mints)} mints`, whole(sample.rssMb))),
    line('  highest seen', whole(peakMb)),
    line('requests to Zoom per mint', zoomRequestsPerMint.toFixed(4), `of ${whole(mints)}`),
  ]
}
