import type { JsonSchema } from '../../message/json-schema.ts';
import { argumentsSchema } from '../../task/arguments-schema.ts';
import type { TaskDefinition } from '../../task/definition.ts';
import { IDEMPOTENCY_KEY, json, jsonBody, pathParameter, queryParameter, TASK_ID } from '../openapi/parts.ts';
import type { ApiResponse, Operation, PathItem, Paths } from '../openapi/types.ts';

const object = (properties: Readonly<Record<string, JsonSchema>>): JsonSchema => ({
  type: 'object',
  properties,
  required: Object.keys(properties),
});

const DEFINITION = object({
  function_name: { type: 'string' },
  arg_definitions: {
    type: 'array',
    items: object({
      name: { type: 'string' },
      type: { type: 'string', enum: ['INTEGER', 'FLOAT', 'STRING', 'BOOLEAN', 'LIST', 'DICT'] },
      is_required: { type: 'boolean' },
      description: { type: 'string' },
    }),
  },
  max_concurrency: { type: 'integer', minimum: 0 },
  description: { type: 'string' },
  timeout: { type: 'number', description: 'Seconds.' },
});

const INFO_PROPERTIES = {
  task_id: TASK_ID,
  function_name: { type: 'string' },
  status: { type: 'string', enum: ['RUNNING', 'DONE', 'FAILED', 'TIMEOUT'] },
  result: { description: 'What the function returned; null while it runs.' },
};
const INFO = object(INFO_PROPERTIES);
const OMITTED = 'True when it is: the results before it in the list have 8 MiB. /task/result/ has it.';
const LISTED: JsonSchema = {
  ...INFO,
  properties: { ...INFO_PROPERTIES, result_omitted: { type: 'boolean', description: OMITTED } },
};

const ERROR = object({ error: { type: 'string' } });
const LAUNCHED = object({ success: { type: 'boolean' }, message: { type: 'string' }, task_id: { type: 'string' } });
const NOT_FOUND = json('There is none.', ERROR);

const NAME = pathParameter('function_name', 'Name of the function.');
const ID = pathParameter('task_id', 'Id of the task.', TASK_ID);

const operation = (
  operationId: string,
  summary: string,
  ok: ApiResponse,
  more: Partial<Operation> = {},
): Operation => ({
  operationId,
  summary,
  tags: ['functions'],
  ...(more.parameters ? { parameters: more.parameters } : {}),
  responses: { 200: ok, ...(more.parameters ? { 404: NOT_FOUND } : {}) },
});

const text = (description: string): ApiResponse => ({
  description,
  content: { 'text/plain': { schema: { type: 'string' } } },
});

const list = (schema: JsonSchema): JsonSchema => ({ type: 'array', items: schema });

const COMMON: Paths = {
  '/': { get: operation('endpoints', 'The endpoints, one a line', text('Paths.')) },
  '/function/list/data': { get: operation('listFunctions', 'Every function', json('Definitions.', list(DEFINITION))) },
  '/function/list/text': { get: operation('listFunctionsAsText', 'Every function, for people', text('Definitions.')) },
  '/function/definition/{function_name}': {
    get: operation('functionDefinition', 'One function', json('Its definition.', DEFINITION), { parameters: [NAME] }),
  },
  '/function/running-count/{function_name}': {
    get: operation(
      'functionRunningCount',
      'How many hold a place, of all owners',
      json('A number.', { type: 'integer' }),
      {
        parameters: [NAME],
      },
    ),
  },
  '/task/info/{task_id}': {
    get: operation('taskInfo', 'State and result', json('The task.', INFO), { parameters: [ID] }),
  },
  '/task/done/{task_id}': {
    get: operation('taskDone', 'Whether it has ended', json('A boolean.', { type: 'boolean' }), { parameters: [ID] }),
  },
  '/task/result/{task_id}': {
    get: operation('taskResult', 'The result; null while it runs', json('The result.', {}), { parameters: [ID] }),
  },
  '/task/list/{function_name}': {
    get: operation('listTasks', 'Tasks of a function, newest first', json('Tasks.', list(LISTED)), {
      parameters: [
        NAME,
        queryParameter('limit', 'How many.', { type: 'integer', minimum: 1, maximum: 1000, default: 100 }),
        queryParameter('offset', 'After how many.', { type: 'integer', minimum: 0, default: 0 }),
      ],
    }),
  },
  '/terminate/function/{function_name}': {
    post: operation('terminateFunction', 'End every task of a function', json('Done.', { type: 'object' }), {
      parameters: [NAME],
    }),
  },
  '/terminate/task/{task_id}': {
    post: operation('terminateTask', 'End a task', json('Done.', { type: 'object' }), { parameters: [ID] }),
  },
};

/** What the server tells of itself: its own endpoints, and two for each function. */
export const functionPaths = (definitions: readonly TaskDefinition[]): Paths => ({
  ...COMMON,
  ...Object.fromEntries(definitions.flatMap(pathsOf)),
});

function pathsOf(definition: TaskDefinition): [string, PathItem][] {
  const { name, description } = definition;
  const common = {
    ...(description === '' ? {} : { description }),
    tags: [name],
    parameters: [IDEMPOTENCY_KEY],
    requestBody: jsonBody(argumentsSchema(definition)),
  };
  const wrong = json('An argument is missing or wrong.', ERROR);
  const start = {
    operationId: `start ${name}`,
    summary: `Start ${name}`,
    ...common,
    responses: { 200: json('It was started, or is over its limit.', LAUNCHED), 400: wrong },
  };
  const wait = {
    operationId: `run ${name}`,
    summary: `Start ${name} and wait for its result`,
    ...common,
    responses: {
      200: json('The result, or that it is over its limit.', {}),
      400: wrong,
      500: json('It failed.', ERROR),
      504: json('It ran into its timeout.', ERROR),
    },
  };
  return [
    [`/${name}`, { post: start }],
    [`/${name}/keep-connection`, { post: wait }],
  ];
}
