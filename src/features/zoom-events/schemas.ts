import { z } from 'zod'
import { errorResponses, noContent, objectId } from '../../plugins/responses.ts'

export const appParams = z.object({ zoom_app_id: objectId() })

/** What Zoom asks for to believe that the endpoint knows the secret; anything else is acknowledged without a body. */
const validationAnswer = z.object({ plainToken: z.string(), encryptedToken: z.string() })

export const eventResponses = { 200: validationAnswer, 204: noContent, ...errorResponses }
