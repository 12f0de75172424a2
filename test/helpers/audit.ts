import type { TestApp } from './app.ts'
import { rows } from './connect.ts'

export interface Line {
  id: string
  tenant_id: string | null
  at: Date
  actor: string
  action: string
  subject_ids: string[]
  request_id: string | null
  address: string | null
  outcome: string | null
  status: number | null
  count: number
}

/** Lines of the trail, the oldest first, once nothing waits to be written; `where` narrows them. */
export async function linesOf(t: TestApp, where = 'true', values: unknown[] = []): Promise<Line[]> {
  await t.services.requestTrail.flush()
  await t.services.refusals.flush()
  return await rows<Line>(t, `SELECT * FROM audit_events WHERE ${where} ORDER BY at, id`, values)
}
