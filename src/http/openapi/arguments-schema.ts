import { type ArgumentDescription, type ArgumentType, isStandardSchema } from '../../task/argument.ts';
import type { TaskDefinition } from '../../task/definition.ts';
import type { JsonSchema } from './types.ts';

const JSON_TYPES: Readonly<Record<ArgumentType, string>> = {
  INTEGER: 'integer',
  FLOAT: 'number',
  STRING: 'string',
  BOOLEAN: 'boolean',
  LIST: 'array',
  DICT: 'object',
};

/** JSON Schema (draft 2020-12) of a task's arguments: of the declared ones, or what a Standard Schema says of itself. */
export function argumentsSchema({ schema, args }: TaskDefinition): JsonSchema {
  if (isStandardSchema(schema)) return standardJsonSchema(schema['~standard']) ?? { type: 'object' };
  const required = args.filter((arg) => arg.isRequired).map((arg) => arg.name);
  return {
    type: 'object',
    properties: Object.fromEntries(args.map((arg) => [arg.name, argumentSchema(arg)])),
    ...(required.length === 0 ? {} : { required }),
  };
}

const argumentSchema = ({ type, description, default: value }: ArgumentDescription): JsonSchema => ({
  type: JSON_TYPES[type],
  ...(description === '' ? {} : { description }),
  ...(value === undefined ? {} : { default: value }),
});

/** Standard JSON Schema, a sister of Standard Schema that some of its libraries have. */
function standardJsonSchema(standard: object): JsonSchema | undefined {
  if (!('jsonSchema' in standard)) return undefined;
  const { jsonSchema } = standard;
  if (typeof jsonSchema !== 'object' || jsonSchema === null || !('input' in jsonSchema)) return undefined;
  const { input } = jsonSchema;
  if (typeof input !== 'function') return undefined;
  try {
    const schema: unknown = input({ target: 'draft-2020-12' });
    return typeof schema === 'object' && schema !== null ? (schema as JsonSchema) : undefined;
  } catch {
    // A library says so of what JSON Schema has no words for: a transform, a class.
    return undefined;
  }
}
