import type { FastifyPluginAsyncZod } from 'fastify-type-provider-zod'
import { errorResponses, noContent } from '../../../plugins/responses.ts'
import {
  changedRecallWorkspaceResponse,
  createRecallWorkspaceBody,
  listRecallWorkspacesQuery,
  recallWorkspaceParams,
  recallWorkspaceResponse,
  recallWorkspacesParams,
  recallWorkspacesResponse,
  updateRecallWorkspaceBody,
} from './schemas.ts'
import type { RecallWorkspaceService } from './service.ts'
import type { RecallWorkspace } from './store.ts'

const shape = (workspace: RecallWorkspace) => ({
  id: workspace.id,
  region: workspace.region,
  secrets: workspace.secrets.map(({ id, createdAt }) => ({ id, created_at: createdAt.toISOString() })),
  has_api_key: workspace.hasApiKey,
  signature_mode: workspace.signatureMode,
  observe_until: workspace.observeUntil?.toISOString() ?? null,
  created_at: workspace.createdAt.toISOString(),
  updated_at: workspace.updatedAt.toISOString(),
})
const config = { caller: 'operator' } as const
const tags = ['recall-workspaces']

type Routes = FastifyPluginAsyncZod<{
  recallWorkspaces: Pick<RecallWorkspaceService, 'create' | 'list' | 'get' | 'update' | 'remove'>
}>

export const recallWorkspaceRoutes: Routes = async (app, { recallWorkspaces }) => {
  app.post(
    '/tenants/:id/recall-workspaces',
    {
      config,
      schema: {
        operationId: 'createRecallWorkspace',
        tags,
        params: recallWorkspacesParams,
        body: createRecallWorkspaceBody,
        response: { 201: changedRecallWorkspaceResponse, ...errorResponses },
      },
    },
    async ({ params, body }, reply) => {
      const { warnings, ...created } = await recallWorkspaces.create(params.id, {
        region: body.region,
        verificationSecrets: body.verification_secrets,
        apiKey: body.api_key ?? null,
        signatureMode: body.signature_mode,
      })
      return reply.status(201).send({ ...shape(created), warnings })
    },
  )

  app.get(
    '/tenants/:id/recall-workspaces',
    {
      config,
      schema: {
        operationId: 'listRecallWorkspaces',
        tags,
        params: recallWorkspacesParams,
        querystring: listRecallWorkspacesQuery,
        response: { 200: recallWorkspacesResponse, ...errorResponses },
      },
    },
    async ({ params, query }) => {
      const { data, nextCursor } = await recallWorkspaces.list(params.id, query.limit, query.cursor)
      return { data: data.map(shape), next_cursor: nextCursor }
    },
  )

  app.get(
    '/tenants/:id/recall-workspaces/:workspace_id',
    {
      config,
      schema: {
        operationId: 'getRecallWorkspace',
        tags,
        params: recallWorkspaceParams,
        response: { 200: recallWorkspaceResponse, ...errorResponses },
      },
    },
    async ({ params }) => shape(await recallWorkspaces.get(params.id, params.workspace_id)),
  )

  app.patch(
    '/tenants/:id/recall-workspaces/:workspace_id',
    {
      config,
      schema: {
        operationId: 'updateRecallWorkspace',
        tags,
        params: recallWorkspaceParams,
        body: updateRecallWorkspaceBody,
        response: { 200: changedRecallWorkspaceResponse, ...errorResponses },
      },
    },
    async ({ params, body }) => {
      const { warnings, ...updated } = await recallWorkspaces.update(params.id, params.workspace_id, {
        region: body.region,
        verificationSecrets: body.verification_secrets,
        apiKey: body.api_key,
        signatureMode: body.signature_mode,
      })
      return { ...shape(updated), warnings }
    },
  )

  app.delete(
    '/tenants/:id/recall-workspaces/:workspace_id',
    {
      config,
      schema: {
        operationId: 'deleteRecallWorkspace',
        tags,
        params: recallWorkspaceParams,
        response: { 204: noContent, ...errorResponses },
      },
    },
    async ({ params }, reply) => {
      await recallWorkspaces.remove(params.id, params.workspace_id)
      return reply.status(204).send(null)
    },
  )
}
