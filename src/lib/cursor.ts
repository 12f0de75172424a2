import { createHmac } from 'node:crypto'
import { AppError } from '../errors.ts'
import { constantTimeEqual } from './ids.ts'

/** Where a page belongs: a cursor of another tenant, list or filter is refused. */
export interface CursorScope {
  tenantId: string
  list: string
  filter: Record<string, string | undefined>
}

export interface CursorCodec {
  /** Seals the position of a page's last row. */
  encode(scope: CursorScope, position: string): string
  /** @throws invalid_request for a cursor of anything else, or a tampered one */
  decode(scope: CursorScope, cursor: string | undefined): string | null
}

const MAC_BYTES = 16

/** Cursors are opaque and authenticated, so that nobody pages into what a list did not give. */
export function createCursorCodec(keys: Buffer[]): CursorCodec {
  const mac = (key: Buffer, { tenantId, list, filter }: CursorScope, position: string) => {
    const named = Object.entries(filter).filter(([, value]) => value !== undefined)
    const text = JSON.stringify([1, tenantId, list, named.sort(), position])
    return createHmac('sha256', key).update(text).digest().subarray(0, MAC_BYTES)
  }
  return {
    encode(scope, position) {
      const [key] = keys
      if (!key) throw new Error('a cursor codec needs a key')
      return Buffer.concat([mac(key, scope, position), Buffer.from(position)]).toString('base64url')
    },
    decode(scope, cursor) {
      if (!cursor) return null
      const bytes = Buffer.from(cursor, 'base64url')
      const position = bytes.subarray(MAC_BYTES).toString()
      const isOurs = keys.some((key) => constantTimeEqual(mac(key, scope, position), bytes.subarray(0, MAC_BYTES)))
      if (!isOurs || bytes.toString('base64url') !== cursor)
        throw new AppError('invalid_request', 'cursor is not of this list; start again without it.')
      return position
    },
  }
}

/**
 * One page of rows that were asked for with `limit + 1`: the rows, and the cursor of the next page or null. `positionOf` says
 * where a row stands in a list that is not ordered by id alone.
 */
export function toPage<Row extends { id: string }>(
  rows: Row[],
  limit: number,
  encode: (position: string) => string,
  positionOf: (row: Row) => string = ({ id }) => id,
): { data: Row[]; nextCursor: string | null } {
  const data = rows.slice(0, limit)
  const last = data.at(-1)
  return { data, nextCursor: rows.length > limit && last ? encode(positionOf(last)) : null }
}
