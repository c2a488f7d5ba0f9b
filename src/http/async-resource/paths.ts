import type { JsonSchema } from '../../message/json-schema.ts';
import { IDEMPOTENCY_KEY, json, jsonBody, pathParameter, problem, queryParameter, TASK_ID } from '../openapi/parts.ts';
import type { ApiResponse, HttpMethod, Operation, Parameter, Paths } from '../openapi/types.ts';
import { OPERATION_NAMES, OPERATIONS, type OperationName, type ResourceHandlers } from './operations.ts';
import type { AsyncResourceOptions, OperationDocs } from './options.ts';

const URI: JsonSchema = { type: 'string', format: 'uri-reference' };

const STATE: JsonSchema = {
  type: 'object',
  properties: {
    id: TASK_ID,
    resource_uri: URI,
    result_uri: { ...URI, description: 'There is one when there is a result.' },
    state: { type: 'string', enum: ['PENDING', 'STARTED', 'SUCCESS', 'FAILURE'] },
    progress: { type: 'number', minimum: 0, maximum: 1 },
    note: { type: 'string' },
  },
  required: ['id', 'resource_uri', 'state'],
};

const PREFER: Parameter = {
  name: 'Prefer',
  in: 'header',
  description: '`wait=10`: hold the answer back until it has ended, at most so many seconds (RFC 7240).',
  schema: { type: 'string' },
};

const GONE = problem('It was cancelled.');
const NOT_FOUND = problem('There is none.');

/** What a resource tells of itself: the operations that it has, its states and results. */
export function resourcePaths(name: string, handlers: ResourceHandlers, { docs = {} }: AsyncResourceOptions): Paths {
  const has = OPERATION_NAMES.filter((operation) => handlers[operation] !== undefined);
  const of = (isDetail: boolean) =>
    Object.fromEntries(
      has
        .filter((operation) => OPERATIONS[operation].isDetail === isDetail)
        .map((operation) => [methodOf(operation), operationOf(name, operation, docs[operation] ?? {})]),
    );
  return Object.fromEntries(
    Object.entries({
      [`/${name}/`]: of(false),
      [`/${name}/{id}/`]: of(true),
      [`/${name}/state/{task_id}/`]: { get: stateOperation(name), delete: cancelOperation(name) },
      [`/${name}/result/{task_id}/`]: { get: resultOperation(name) },
    }).filter(([, item]) => Object.keys(item).length > 0),
  );
}

const methodOf = (operation: OperationName): HttpMethod => OPERATIONS[operation].method.toLowerCase() as HttpMethod;

function operationOf(name: string, operation: OperationName, docs: OperationDocs): Operation {
  const { isDetail, method } = OPERATIONS[operation];
  const query = Object.entries(docs.query ?? {}).map(([parameter, schema]) => queryParameter(parameter, '', schema));
  return {
    operationId: `${name} ${operation}`,
    summary: docs.summary ?? `${method} ${name}`,
    ...(docs.description === undefined ? {} : { description: docs.description }),
    tags: [name],
    parameters: [...(isDetail ? [pathParameter('id', `Which ${name}.`)] : []), ...query, PREFER, IDEMPOTENCY_KEY],
    ...(method === 'GET' ? {} : { requestBody: jsonBody(docs.body ?? {}) }),
    responses: {
      200: RESULT,
      202: {
        description: 'It was started.',
        headers: {
          Location: { description: 'Its state.', schema: URI },
          'Retry-After': { schema: { type: 'integer' } },
        },
      },
      400: problem('Nothing was started: an argument is missing or wrong.'),
      503: problem('As many as may be are under way.'),
    },
  };
}

const RESULT: ApiResponse = {
  description: 'The result, as `result/` answers it.',
  content: { 'application/json': { schema: {} }, 'text/plain': { schema: { type: 'string' } } },
};

const base = (name: string, operation: string, summary: string) => ({
  operationId: `${name} ${operation}`,
  summary,
  tags: [name],
});

const ID = pathParameter('task_id', 'Id of the task.', TASK_ID);

const stateOperation = (name: string): Operation => ({
  ...base(name, 'state', 'How far it is; with Accept: text/event-stream what becomes of it'),
  parameters: [
    ID,
    queryParameter('redirect', '1: answer with 303 when there is a result.', { type: 'string', enum: ['1'] }),
    PREFER,
  ],
  responses: {
    200: {
      description: 'Its state.',
      content: { 'application/json': { schema: STATE }, 'text/event-stream': { schema: { type: 'string' } } },
    },
    303: { description: 'There is a result.', headers: { Location: { schema: URI } } },
    404: NOT_FOUND,
    410: GONE,
  },
});

const cancelOperation = (name: string): Operation => ({
  ...base(name, 'cancel', 'End it'),
  parameters: [ID],
  responses: {
    202: { description: 'It was asked for; it has not ended yet.' },
    400: problem('It had ended already.'),
    404: NOT_FOUND,
    410: problem('It has ended.'),
  },
});

const resultOperation = (name: string): Operation => ({
  ...base(name, 'result', 'What it returned, or why it failed'),
  parameters: [
    ID,
    queryParameter('limit', 'Of a list: how many.', { type: 'integer', minimum: 0, maximum: 1000, default: 20 }),
    queryParameter('offset', 'Of a list: after how many.', { type: 'integer', minimum: 0, default: 0 }),
  ],
  responses: {
    200: {
      ...json('The result.', {}),
      content: { 'application/json': { schema: {} }, 'text/plain': { schema: { type: 'string' } } },
    },
    404: problem('There is none yet.'),
    410: GONE,
  },
});
