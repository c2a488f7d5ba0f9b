import type { FieldDescription, FieldType, JsonSchema } from './description.ts';

const SCHEMAS: Readonly<Record<FieldType, JsonSchema>> = Object.freeze({
  char: { type: 'string' },
  text: { type: 'string' },
  integer: { type: 'integer' },
  float: { type: 'number' },
  boolean: { type: 'boolean' },
  date: { type: 'string', format: 'date' },
  datetime: { type: 'string', format: 'date-time' },
  email: { type: 'string', format: 'email' },
  url: { type: 'string', format: 'uri' },
  choice: {},
  list: { type: 'array' },
  json: {},
});

/** JSON Schema of a body with these fields; it may have other members as well. */
export function fieldsSchema(fields: readonly FieldDescription[]): JsonSchema {
  // What has a default may be left out, whatever its author calls it.
  const required = fields.flatMap((field) => (field.isRequired && field.default === undefined ? [field.name] : []));
  return {
    type: 'object',
    properties: Object.fromEntries(fields.map((field) => [field.name, fieldSchema(field)])),
    ...(required.length === 0 ? {} : { required }),
  };
}

const fieldSchema = ({ type, description, default: value, choices }: FieldDescription): JsonSchema => ({
  ...SCHEMAS[type],
  ...(choices === undefined ? {} : { enum: choices }),
  ...(description === '' ? {} : { description }),
  ...(value === undefined ? {} : { default: value }),
});
