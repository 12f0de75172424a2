import type { LossCause } from './losses.ts'

export interface SoakReport {
  kills: number
  freezes: number
  rollingRestarts: number
  /** SIGTERM that did not end in status 0. */
  uncleanStops: number
  databaseCuts: number
  databaseRestarts: number
  zoomFaults: number
  refreshes: number
  mints: number
  /** Mints without a token, by error code; `cut_off` where the process died under them. */
  refused: Record<string, number>
  /** Rotations lost and said so: `reconnect_required` with `rotation_lost`. */
  lost: number
  lostBy: Record<LossCause, number>
  /** The longest that a killed holder had lived with the answer that died with it. */
  longestLivedMs: number
  /** Losses that nothing excuses: an answer was there, and process and database lived long enough to keep it. */
  unexcused: string[]
  /** Connected and dead with no open intent. */
  silent: string[]
  /** A wrong reason, or a host sent to reconnect whose grant lives. */
  mislabelled: string[]
  /** How the grants stood when all was over. */
  atTheEnd: { connected: number; rotationLost: number; intentOpen: number }
}

export const emptyReport = (): SoakReport => ({
  kills: 0,
  freezes: 0,
  rollingRestarts: 0,
  uncleanStops: 0,
  databaseCuts: 0,
  databaseRestarts: 0,
  zoomFaults: 0,
  refreshes: 0,
  mints: 0,
  refused: {},
  lost: 0,
  lostBy: { answer_spoilt: 0, killed: 0, frozen: 0, database_away: 0 },
  longestLivedMs: 0,
  unexcused: [],
  silent: [],
  mislabelled: [],
  atTheEnd: { connected: 0, rotationLost: 0, intentOpen: 0 },
})

/** What a run must not have shown, whatever was done to it. */
export const complaintsOf = ({ unexcused, silent, mislabelled, uncleanStops }: SoakReport): string[] => [
  ...silent,
  ...mislabelled,
  ...unexcused,
  ...(uncleanStops > 0 ? [`${uncleanStops} stops by SIGTERM did not end in status 0`] : []),
]
