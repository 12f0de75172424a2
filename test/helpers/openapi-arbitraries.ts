import fc, { type Arbitrary } from 'fast-check'

/** As much of JSON Schema as the service's own description uses. */
export interface Schema {
  type?: string | string[]
  enum?: unknown[]
  const?: unknown
  anyOf?: Schema[]
  oneOf?: Schema[]
  format?: string
  pattern?: string
  minLength?: number
  maxLength?: number
  minimum?: number
  maximum?: number
  minItems?: number
  maxItems?: number
  items?: Schema
  properties?: Record<string, Schema>
  required?: string[]
  additionalProperties?: boolean | Schema
}

export interface Operation {
  operationId: string
  method: string
  path: string
  parameters: { in: 'path' | 'query' | 'header'; name: string; required?: boolean; schema: Schema }[]
  body: Schema | null
  statuses: string[]
  isOpen: boolean
}

interface Described {
  operationId: string
  parameters?: Operation['parameters']
  requestBody?: { content: Record<string, { schema: Schema }> }
  responses: Record<string, unknown>
  security?: unknown[]
}

/** Every operation of a description; those that end something last, so that the others still find it. */
export function operationsOf(document: { paths: Record<string, Record<string, Described>> }): Operation[] {
  const operations = Object.entries(document.paths).flatMap(([path, methods]) =>
    Object.entries(methods).map(([method, described]) => ({
      operationId: described.operationId,
      method: method.toUpperCase(),
      path,
      parameters: described.parameters ?? [],
      body: described.requestBody?.content['application/json']?.schema ?? null,
      statuses: Object.keys(described.responses),
      isOpen: described.security === undefined,
    })),
  )
  const isEnd = ({ method, path }: Operation) => method === 'DELETE' || path.endsWith('/release')
  return [...operations.filter((each) => !isEnd(each)), ...operations.filter(isEnd)]
}

/** Texts that have broken somebody's parser before. */
export const naughty: Arbitrary<string> = fc.oneof(
  fc.constantFrom(
    '',
    ' ',
    '\0',
    'a\0b',
    '\r\nSet-Cookie: a=b',
    '\ud800',
    '\u202e',
    '\ufeff',
    '..',
    '../../etc/passwd',
    "' OR 1=1--",
    "'; DROP TABLE grants; --",
    '{"$ne":null}',
    '__proto__',
    'constructor',
    '[object Object]',
    'null',
    'NaN',
    '-0',
    '1e400',
    '9007199254740993',
    '9'.repeat(400),
    '%00',
    '%zz',
    '<script>alert(1)</script>',
    'https://user:pass@zoom.us/j/111111111',
    '٨٥٩٩٦٢٤٩٥١٧',
    'é'.repeat(300),
    'e\u0301'.repeat(500),
    'x'.repeat(5000),
  ),
  fc.string({ unit: 'binary', maxLength: 60 }),
)

type Known = Record<string, unknown[]>

/** As the schema says, or spoilt in one place. `known` are values that exist, by name. */
export function arbitraryOf(schema: Schema, known: Known, name = ''): Arbitrary<unknown> {
  return fc.oneof(
    { weight: 5, arbitrary: validOf(schema, known, name) },
    { weight: 4, arbitrary: spoiltOf(schema, known) },
    { weight: 1, arbitrary: fc.jsonValue({ maxDepth: 3 }) },
  )
}

function validOf(schema: Schema, known: Known, name = ''): Arbitrary<unknown> {
  const seeds = known[name]
  const fitting = fittingOf(schema, known)
  return seeds ? fc.oneof({ weight: 6, arbitrary: fc.constantFrom(...seeds) }, fitting) : fitting
}

function fittingOf(schema: Schema, known: Known): Arbitrary<unknown> {
  const choices = schema.anyOf ?? schema.oneOf
  if (choices) return fc.oneof(...choices.map((each) => fittingOf(each, known)))
  if (schema.const !== undefined) return fc.constant(schema.const)
  if (schema.enum) return fc.constantFrom(...schema.enum)
  if (Array.isArray(schema.type)) return fc.oneof(...schema.type.map((type) => fittingOf({ ...schema, type }, known)))
  if (schema.type === 'string') return textOf(schema)
  if (schema.type === 'integer' || schema.type === 'number')
    return fc.integer({ min: schema.minimum ?? -1000, max: Math.min(schema.maximum ?? 100_000, 2 ** 31 - 1) })
  if (schema.type === 'boolean') return fc.boolean()
  if (schema.type === 'null') return fc.constant(null)
  if (schema.type === 'array')
    return fc.array(fittingOf(schema.items ?? {}, known), {
      minLength: schema.minItems ?? 0,
      maxLength: Math.max(schema.minItems ?? 0, Math.min(schema.maxItems ?? 4, 4)),
    })
  return schema.type === 'object' ? objectOf(schema, known) : fc.jsonValue({ maxDepth: 2 })
}

/** One part of a fitting value is something else: the rest must not hide what becomes of it. */
function spoiltOf(schema: Schema, known: Known): Arbitrary<unknown> {
  const choices = schema.anyOf ?? schema.oneOf
  if (choices) return fc.oneof(...choices.map((each) => spoiltOf(each, known)))
  if (schema.type === 'array') return spoiltOf(schema.items ?? {}, known).map((one) => [one])
  if (schema.type === 'string' && !schema.enum) return fc.oneof(naughty, spoiltText(schema))
  if (schema.type !== 'object') return fc.oneof(naughty, fc.jsonValue({ maxDepth: 1 }))
  const properties = Object.entries(schema.properties ?? {})
  const values = typeof schema.additionalProperties === 'object' ? schema.additionalProperties : {}
  const spoilt = [...properties, [undefined, values] as const].map(([name, each]) =>
    fc.tuple(name === undefined ? naughty : fc.constant(name), spoiltOf(each, known)),
  )
  return fc.tuple(objectOf(schema, known), fc.oneof(...spoilt)).map(([whole, [name, value]]) => ({
    ...(whole as object),
    [name]: value,
  }))
}

/** A fitting text with one letter in it that is out of place. */
function spoiltText(schema: Schema): Arbitrary<string> {
  const letter = fc.constantFrom('\0', '\ud800', '\n', '\u202e', '%', "'", '\\', '\u2028', '\u0661')
  return fc.tuple(textOf(schema), letter, fc.nat()).map(([text, odd, pick]) => {
    const at = pick % (text.length + 1)
    return text.slice(0, at) + odd + text.slice(at)
  })
}

function textOf({ format, pattern, minLength = 0, maxLength = 100 }: Schema): Arbitrary<string> {
  if (format === 'uuid') return fc.uuid()
  if (format === 'date-time') {
    const [min, max] = [new Date(Date.now() - 86_400_000), new Date(Date.now() + 500 * 86_400_000)]
    return fc.date({ min, max, noInvalidDate: true }).map((date) => date.toISOString())
  }
  // classes of Unicode are not generated from: the text may then not match, which is a case too
  if (pattern && !/\\[pP]\{/.test(pattern)) return fc.stringMatching(new RegExp(pattern))
  return fc.string({ unit: 'grapheme', minLength, maxLength: Math.max(minLength, Math.min(maxLength, 40)) })
}

function objectOf(schema: Schema, known: Known): Arbitrary<unknown> {
  // an undefined one is not in the JSON; half of what may be left out is: rules such as "exactly one of" are in no schema
  const model = Object.entries(schema.properties ?? {}).map(([name, each]) => {
    const value = validOf(each, known, name)
    return [name, schema.required?.includes(name) ? value : fc.option(value, { nil: undefined, freq: 2 })]
  })
  const declared = fc.record(Object.fromEntries(model))
  if (typeof schema.additionalProperties !== 'object') return declared
  const key = fc.string({ unit: 'grapheme', minLength: 1, maxLength: 12 })
  return fc.dictionary(key, fittingOf(schema.additionalProperties, known), { maxKeys: 3 })
}
