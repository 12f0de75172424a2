import type { Facts } from './facts.ts'
import { CONNECTION_SUSPECTS, REQUEST_SUSPECTS } from './refusal-causes.ts'
import type { Likelihood, Suspect } from './suspect.ts'
import { TOKEN_SUSPECTS } from './token-causes.ts'

/** One cause of "the bot did not skip the waiting room". */
export interface Cause {
  cause: string
  likelihood: Likelihood
  /** What speaks for it. */
  why: string
  nextStep: string
}

const RANK: Record<Likelihood, number> = { certain: 0, likely: 1, possible: 2 }

/** In the order of how often each is to blame. */
const SUSPECTS: Suspect[] = [...REQUEST_SUSPECTS, ...CONNECTION_SUSPECTS, ...TOKEN_SUSPECTS]

/**
 * Why the bot did not skip the waiting room: the likeliest first, and last what cannot be seen from here. Pure: the same facts give
 * the same causes.
 */
export function causesOf(facts: Facts): Cause[] {
  const found = SUSPECTS.flatMap(({ cause, nextStep, look }) => {
    const finding = look(facts)
    return finding ? [{ cause, ...finding, nextStep }] : []
  })
  return found.toSorted((a, b) => RANK[a.likelihood] - RANK[b.likelihood])
}
