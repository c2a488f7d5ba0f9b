import type { JsonSchema } from '../../message/json-schema.ts';
import type { ApiResponse, Parameter } from './types.ts';

/** What the documents of all plugins have in common. */
export const json = (description: string, schema: JsonSchema): ApiResponse => ({
  description,
  content: { 'application/json': { schema } },
});

export const problem = (description: string): ApiResponse => ({
  description,
  content: { 'application/problem+json': { schema: { $ref: '#/components/schemas/Problem' } } },
});

export const jsonBody = (schema: JsonSchema) => ({ content: { 'application/json': { schema } } });

export const pathParameter = (
  name: string,
  description: string,
  schema: JsonSchema = { type: 'string' },
): Parameter => ({
  name,
  in: 'path',
  description,
  required: true,
  schema,
});

export const queryParameter = (name: string, description: string, schema: JsonSchema): Parameter => ({
  name,
  in: 'query',
  description,
  schema,
});

export const TASK_ID: JsonSchema = { type: 'string', format: 'uuid' };

export const IDEMPOTENCY_KEY: Parameter = {
  name: 'Idempotency-Key',
  in: 'header',
  description: 'The same key again starts nothing more, and answers as the first time.',
  schema: { type: 'string', minLength: 1, maxLength: 255 },
};
