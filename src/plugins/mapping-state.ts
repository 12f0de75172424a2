import { z } from 'zod'
import { isoTime } from './responses.ts'

type MappingSource = 'api' | 'event' | 'sync' | 'lookup'

/** What is known of a mapping; the names of fields and forms of times in `replaced` are as stored. */
interface MappingState {
  hostId: string | null
  externalUserId: string | null
  organizationId: string | null
  zoomUserId: string | null
  source: MappingSource
  observedAt: Date
  replaced: {
    source: MappingSource
    host_id: string | null
    organization_id: string | null
    observed_at: string
  } | null
  updatedAt: Date
}

export const mappingSource = z.enum(['api', 'event', 'sync', 'lookup'])

/** Whose meeting it is, in an answer: the same of a meeting and of an explanation. */
export const mappingState = {
  host_id: z.uuid().nullable(),
  external_user_id: z.string().nullable(),
  organization_id: z.uuid().nullable(),
  /** Of an organization's meeting that Zoom told of: its host there, who is to connect for OBF tokens and ZAKs. */
  zoom_user_id: z.string().nullable(),
  source: mappingSource,
  observed_at: isoTime(),
  replaced: z
    .object({
      source: mappingSource,
      host_id: z.uuid().nullable(),
      organization_id: z.uuid().nullable(),
      observed_at: isoTime(),
    })
    .nullable(),
  updated_at: isoTime(),
}

/** Fills `mappingState`. */
export const mappingStateOf = (mapping: MappingState) => ({
  host_id: mapping.hostId,
  external_user_id: mapping.externalUserId,
  organization_id: mapping.organizationId,
  zoom_user_id: mapping.zoomUserId,
  source: mapping.source,
  observed_at: mapping.observedAt.toISOString(),
  replaced: mapping.replaced && {
    ...mapping.replaced,
    observed_at: new Date(mapping.replaced.observed_at).toISOString(),
  },
  updated_at: mapping.updatedAt.toISOString(),
})
