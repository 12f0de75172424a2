import { type FaultAction, type FaultEffect, type FaultInput, faultInput } from './fault-schema.ts'
import { ControlError, parseInput, type State } from './state.ts'
import type { ZoomRequest } from './zoom-request.ts'

/** A fault that is set, and how often it has struck. */
export interface Fault {
  id: string
  match: { method?: string; path?: string; user_id?: string; client_id?: string; grant_type?: string }
  /** Strikes left; -1 until cleared. */
  times: number
  skip: number
  effect: FaultEffect
  action: FaultAction
  hits: number
}

/** A fault as its owner sees it; `hit` settles when it has struck `count` times, without polling. */
export interface FaultHandle {
  id: string
  hits(): number
  hit(count?: number): Promise<void>
  /** Lets the requests go on that a `hold` keeps. */
  release(): void
  clear(): void
}

/** Faults that spoil an answer need one, so Zoom's work comes first; the others stand in its place. */
const SPOILS_ANSWER = ['hang', 'hold', 'delay', 'drip', 'cut', 'reset', 'oversized', 'gzip_bomb', 'body']
/** They change Zoom's own answer, so it has to be there first. */
const NEEDS_ANSWER = ['omit', 'set', 'informational', 'many_headers']

const usualEffect = ({ type }: FaultAction): FaultEffect =>
  SPOILS_ANSWER.includes(type) || NEEDS_ANSWER.includes(type) ? 'before' : 'never'

/** The faults in force: the first that matches a request and has strikes left is used for it. */
export function createFaults(state: State) {
  let faults: Fault[] = []
  let serial = 0
  const held = new Map<string, (() => void)[]>()
  const watchers = new Set<() => void>()

  const pathFits = (pattern: string, path: string) =>
    pattern.startsWith('^') ? new RegExp(pattern).test(path) : path.startsWith(pattern)

  function matches({ match }: Fault, request: ZoomRequest): boolean {
    const { facts } = request
    const user = match.user_id === undefined ? undefined : state.findUser(match.user_id)
    return (
      (match.method === undefined || match.method.toUpperCase() === request.method) &&
      (match.path === undefined || pathFits(match.path, request.path)) &&
      (match.user_id === undefined || (user?.id ?? match.user_id) === facts.userId) &&
      (match.client_id === undefined || match.client_id === facts.clientId) &&
      (match.grant_type === undefined || match.grant_type === facts.grantType)
    )
  }

  function release(id?: string) {
    for (const [key, waiting] of held) {
      if (id !== undefined && id !== key) continue
      held.delete(key)
      for (const go of waiting) go()
    }
  }

  function remove(id: string) {
    faults = faults.filter((fault) => fault.id !== id)
    release(id)
  }

  function add(input: FaultInput): FaultHandle {
    const given = parseInput(faultInput, input, 'fault')
    if (given.effect !== undefined && given.effect !== 'before' && NEEDS_ANSWER.includes(given.action.type)) {
      throw new ControlError('Not a valid fault', [`effect: expected before for ${given.action.type}`])
    }
    serial += 1
    const match = Object.fromEntries(Object.entries(given.match ?? {}).filter(([, value]) => value !== undefined))
    const effect = given.effect ?? usualEffect(given.action)
    const id = `fault_${serial}`
    const fault: Fault = {
      id,
      match,
      times: given.times ?? 1,
      skip: given.skip ?? 0,
      effect,
      action: given.action,
      hits: 0,
    }
    faults.push(fault)
    return {
      id,
      hits: () => fault.hits,
      async hit(count = 1) {
        while (fault.hits < count) {
          await new Promise<void>((resolve) => {
            const watcher = () => {
              watchers.delete(watcher)
              resolve()
            }
            watchers.add(watcher)
          })
        }
      },
      release: () => release(id),
      clear: () => remove(id),
    }
  }

  return {
    add,
    release,
    remove,
    list: (): readonly Fault[] => faults,
    /** The fault for this request, if any; takes one of its strikes. */
    take(request: ZoomRequest): Fault | null {
      for (const fault of faults) {
        if (fault.times === 0 || !matches(fault, request)) continue
        if (fault.skip > 0) {
          fault.skip -= 1
          return null
        }
        if (fault.times > 0) fault.times -= 1
        fault.hits += 1
        for (const watcher of [...watchers]) watcher()
        return fault
      }
      return null
    },
    /** Waits until the fault's owner releases it, clears it, or the simulator resets or closes. */
    hold: (id: string) =>
      new Promise<void>((resolve) => {
        held.set(id, [...(held.get(id) ?? []), resolve])
      }),
    clear() {
      faults = []
      release()
    },
  }
}
