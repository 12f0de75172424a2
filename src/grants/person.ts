import type { PersonalLink } from '../zoom/meeting-id.ts'

/** What Zoom says of the person behind a grant. Never a key, and erased with the grant. */
export interface Profile {
  email: string | null
  displayName: string | null
  /** Number of the personal meeting room. */
  pmi: string | null
  /** The link that leads to that room; never with its password. */
  personalLink: PersonalLink | null
}

const COLUMNS = ['email', 'display_name', 'pmi', 'personal_link_host', 'personal_link_name']

/** For `SET` of an update of `grants`: whatever ends a grant forgets the person with it. */
export const NO_PERSON = COLUMNS.map((column) => `${column} = NULL`).join(', ')
/** Whether `grants g` still holds anything of it. */
export const HOLDS_PERSON = `num_nonnulls(${COLUMNS.map((column) => `g.${column}`).join(', ')}) > 0`
