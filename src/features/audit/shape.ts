import type { ExportEnd, ToldLine } from './service.ts'

/** A line of the trail as it leaves, by the API and the CLI. */
export const lineOf = (line: ToldLine) => ({
  id: line.id,
  at: line.at.toISOString(),
  tenant_id: line.tenantId,
  actor: line.actor,
  action: line.action,
  subject_ids: line.subjectIds,
  request_id: line.requestId,
  address: line.address,
  outcome: line.outcome,
  status: line.status,
  count: line.count,
  details: line.details,
})

/** One JSON text per item, each a line. */
export const toJsonLine = (item: ToldLine | ExportEnd) =>
  JSON.stringify('nextCursor' in item ? { next_cursor: item.nextCursor } : lineOf(item))
