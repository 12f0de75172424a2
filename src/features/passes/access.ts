import { invalidField } from '../../errors.ts'
import type { Pass } from './store.ts'

interface AskedOfPass {
  kinds: string[]
  meeting: string | undefined
  host?: unknown
  onBehalfOf: unknown[]
  joinAt: Date | null
}

/** A pass of kind `access` is for one user and no meeting; any other for one meeting. @throws invalid_request */
export function checkAccess({ kinds, meeting, host, onBehalfOf, joinAt }: AskedOfPass): void {
  if (!kinds.includes('access')) {
    if (meeting === undefined) throw invalidField('meeting', 'is required')
    return
  }
  if (kinds.some((kind) => kind !== 'access'))
    throw invalidField('kinds', 'cannot hold access beside another kind: make a pass of its own for it')
  if (meeting !== undefined) throw invalidField('meeting', 'does not go with the kind access, which is for no meeting')
  if (host === undefined) throw invalidField('host', 'is required for the kind access: whose access token it is')
  if (onBehalfOf.length > 0)
    throw invalidField('on_behalf_of', 'does not go with the kind access: name the user as host')
  if (joinAt !== null) throw invalidField('join_at', 'does not go with the kind access: no bot joins by it')
}

/** @throws invalid_request */
export function checkAccessChange(
  { meetingId }: Pick<Pass, 'meetingId'>,
  change: { meeting?: string | undefined; joinAt?: Date | null | undefined },
): void {
  if (meetingId !== null) return
  if (change.meeting !== undefined)
    throw invalidField('meeting', 'does not go with the kind access, which is for no meeting')
  if (change.joinAt) throw invalidField('join_at', 'does not go with the kind access: no bot joins by it')
}
