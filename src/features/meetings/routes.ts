import type { FastifyPluginAsyncZod } from 'fastify-type-provider-zod'
import { mappingStateOf } from '../../plugins/mapping-state.ts'
import { errorResponses, noContent } from '../../plugins/responses.ts'
import {
  batchMeetingsBody,
  batchMeetingsResponse,
  listMeetingsQuery,
  meetingParams,
  meetingResponse,
  meetingsResponse,
  putMeetingBody,
} from './schemas.ts'
import type { MeetingService } from './service.ts'
import type { Mapping } from './store.ts'

// a thousand rows with external user ids of some length; still parsed in a few milliseconds
const BATCH_BODY_BYTES = 256 * 1024

const shape = (mapping: Mapping) => ({ meeting_id: mapping.meetingId, ...mappingStateOf(mapping) })
const read = { caller: 'meetings:read' } as const
const write = { caller: 'meetings:write' } as const
const tags = ['meetings']

type Routes = FastifyPluginAsyncZod<{
  meetings: Pick<MeetingService, 'list' | 'get' | 'put' | 'putMany' | 'remove'>
}>

export const meetingRoutes: Routes = async (app, { meetings }) => {
  app.get(
    '/meetings',
    {
      config: read,
      schema: {
        operationId: 'listMeetings',
        tags,
        querystring: listMeetingsQuery,
        response: { 200: meetingsResponse, ...errorResponses },
      },
    },
    async ({ tenantId, query }) => {
      const filter = { hostId: query.host_id, source: query.source }
      const { data, nextCursor } = await meetings.list(tenantId, filter, query.limit, query.cursor)
      return { data: data.map(shape), next_cursor: nextCursor }
    },
  )

  app.post(
    '/meetings/batch',
    {
      config: write,
      bodyLimit: BATCH_BODY_BYTES,
      schema: {
        operationId: 'putMeetings',
        tags,
        body: batchMeetingsBody,
        response: { 200: batchMeetingsResponse, ...errorResponses },
      },
    },
    async ({ tenantId, body }) => {
      const outcomes = await meetings.putMany(tenantId, body.meetings)
      return { data: outcomes.map(({ meetingId, ...outcome }) => ({ meeting_id: meetingId, ...outcome })) }
    },
  )

  app.get(
    '/meetings/:meeting_id',
    {
      config: read,
      schema: {
        operationId: 'getMeeting',
        tags,
        params: meetingParams,
        response: { 200: meetingResponse, ...errorResponses },
      },
    },
    async ({ tenantId, params }) => shape(await meetings.get(tenantId, params.meeting_id)),
  )

  app.put(
    '/meetings/:meeting_id',
    {
      config: write,
      schema: {
        operationId: 'putMeeting',
        tags,
        params: meetingParams,
        body: putMeetingBody,
        response: { 200: meetingResponse, ...errorResponses },
      },
    },
    async ({ tenantId, params, body }) => shape(await meetings.put(tenantId, params.meeting_id, body)),
  )

  app.delete(
    '/meetings/:meeting_id',
    {
      config: write,
      schema: {
        operationId: 'deleteMeeting',
        tags,
        params: meetingParams,
        response: { 204: noContent, ...errorResponses },
      },
    },
    async ({ tenantId, params }, reply) => {
      await meetings.remove(tenantId, params.meeting_id)
      return reply.status(204).send(null)
    },
  )
}
