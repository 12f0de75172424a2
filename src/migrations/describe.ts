import type { Client, Connection, Submittable } from 'pg'

export interface Described {
  /** OIDs of the types of `$1`…, as Postgres understood them. */
  parameters: number[]
  /** Null where the statement gives no rows. */
  columns: { name: string; type: number }[] | null
}

interface Field {
  name: string
  dataTypeID: number
}

/**
 * Asks Postgres what a statement takes and gives, without running it.
 * @see https://www.postgresql.org/docs/current/protocol-flow.html#PROTOCOL-FLOW-EXT-QUERY "Describe (statement variant)"
 * @throws what Postgres says of a statement that it cannot parse
 */
export function describe(client: Client, text: string): Promise<Described> {
  return new Promise((resolve, reject) => {
    const described: Described = { parameters: [], columns: null }
    const onParameters = ({ dataTypeIDs }: { dataTypeIDs: number[] }) => {
      described.parameters = dataTypeIDs
    }
    let open: Connection | undefined
    const leave = () => open?.off('parameterDescription', onParameters)
    const query: Submittable & Record<string, unknown> = {
      submit(connection: Connection) {
        open = connection
        connection.once('parameterDescription', onParameters)
        connection.parse({ name: '', text, types: [] }, true)
        connection.describe({ type: 'S', name: '' }, true)
        connection.sync()
      },
      handleRowDescription({ fields }: { fields: Field[] }) {
        described.columns = fields.map(({ name, dataTypeID }) => ({ name, type: dataTypeID }))
      },
      handleError(error: unknown) {
        leave()
        reject(error) // pg tells this query nothing more
      },
      handleReadyForQuery() {
        leave()
        resolve(described)
      },
    }
    client.query(query as Submittable)
  })
}
