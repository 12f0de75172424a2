import fp from 'fastify-plugin'

// A shorter reply fits the buffers of any socket: whoever reads it slowly holds nothing of ours.
const LONG_BYTES = 32 * 1024
const READ_TIMEOUT_MS = 60_000

const isLong = (payload: unknown): boolean =>
  typeof payload === 'string' || Buffer.isBuffer(payload) ? Buffer.byteLength(payload) > LONG_BYTES : payload != null

/** Ends the connection of whoever takes longer than a minute to read a long reply. Node itself waits for ever for one that trickles. */
export const slowReaders = fp(
  async (app) => {
    app.addHook('onSend', (_request, reply, payload, done) => {
      if (isLong(payload)) {
        const timer = setTimeout(() => reply.raw.destroy(), READ_TIMEOUT_MS).unref()
        reply.raw.once('close', () => clearTimeout(timer))
      }
      done()
    })
  },
  { name: 'slow-readers' },
)
