import { type JsonSchema, standardJsonSchema } from '../message/json-schema.ts';
import { type ArgumentDescription, type ArgumentType, isStandardSchema } from './argument.ts';
import type { TaskDefinition } from './definition.ts';

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
  if (isStandardSchema(schema)) return standardJsonSchema(schema) ?? { type: 'object' };
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
