import type { Facts } from './facts.ts'

/** `certain`: the ledger or the state says so. `likely`: something speaks for it. `possible`: it cannot be seen from here. */
export type Likelihood = 'certain' | 'likely' | 'possible'

export interface Finding {
  likelihood: Likelihood
  why: string
}

/** A cause, how it is told from the facts, and what to do about it. */
export interface Suspect {
  cause: string
  nextStep: string
  look: (facts: Facts) => Finding | null
}

export const certain = (why: string): Finding => ({ likelihood: 'certain', why })
export const likely = (why: string): Finding => ({ likelihood: 'likely', why })
export const possible = (why: string): Finding => ({ likelihood: 'possible', why })
