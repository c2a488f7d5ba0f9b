import type { StandardJSONSchemaV1, StandardSchemaV1 } from '@standard-schema/spec';

/** A JSON Schema; of draft 2020-12 where nothing else is said. */
export type JsonSchema = Readonly<Record<string, unknown>>;

/** OpenAPI 3.1 takes the first, AsyncAPI 3.0 the second. */
export type JsonSchemaTarget = 'draft-2020-12' | 'draft-07';

/**
 * What a schema says of what it takes, by Standard JSON Schema, a sister of Standard Schema that some of its libraries
 * have (zod and arktype; valibot by `toStandardJsonSchema` of @valibot/to-json-schema).
 * @returns undefined when its library does not tell, or JSON Schema has no words for it: a transform, a class
 */
export function standardJsonSchema(
  schema: StandardSchemaV1,
  target: JsonSchemaTarget = 'draft-2020-12',
): JsonSchema | undefined {
  const standard: object = schema['~standard'];
  if (!tellsJsonSchema(standard)) return undefined;
  try {
    // What travels is what the schema takes, before it fills in defaults and parses.
    const told: unknown = standard.jsonSchema.input({ target });
    return typeof told === 'object' && told !== null ? (told as JsonSchema) : undefined;
  } catch {
    return undefined;
  }
}

function tellsJsonSchema(standard: object): standard is StandardJSONSchemaV1.Props {
  if (!('jsonSchema' in standard)) return false;
  const { jsonSchema } = standard;
  return (
    typeof jsonSchema === 'object' &&
    jsonSchema !== null &&
    'input' in jsonSchema &&
    typeof jsonSchema.input === 'function'
  );
}

/**
 * The schema as it stands in another document: its references to itself lead to where it is kept there.
 * @param pointer such as `/components/schemas/User`
 */
export function rerooted({ $schema: _, ...schema }: JsonSchema, pointer: string): JsonSchema {
  const moved = (value: unknown, name?: string): unknown => {
    if (name === '$ref' && typeof value === 'string' && value.startsWith('#')) return `#${pointer}${value.slice(1)}`;
    if (Array.isArray(value)) return value.map((item) => moved(item));
    if (typeof value !== 'object' || value === null) return value;
    return Object.fromEntries(Object.entries(value).map(([key, item]) => [key, moved(item, key)]));
  };
  return moved(schema) as JsonSchema;
}
