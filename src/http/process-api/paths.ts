import type { JsonSchema } from '../../message/json-schema.ts';
import type { ProcessDescription } from '../../process/description.ts';
import { INSTANCE_STATES, STEP_STATUSES } from '../../process/instance.ts';
import { IDEMPOTENCY_KEY, json, jsonBody, pathParameter, problem, queryParameter } from '../openapi/parts.ts';
import type { Operation, PathItem, Paths } from '../openapi/types.ts';

const UUID: JsonSchema = { type: 'string', format: 'uuid' };
const TIME: JsonSchema = { type: ['string', 'null'], format: 'date-time' };
const ANYTHING: JsonSchema = {};

type Members = Readonly<Record<string, JsonSchema>>;

const object = (members: Members, optional: Members = {}): JsonSchema => ({
  type: 'object',
  properties: { ...members, ...optional },
  required: Object.keys(members),
});

const TASK_MEMBERS = {
  name: { type: 'string' },
  kind: { type: 'string', enum: ['sync', 'async'] },
  status: { type: 'string', enum: STEP_STATUSES },
  input: { type: 'array', items: {} },
  result: ANYTHING,
  error: ANYTHING,
  taskId: { type: ['string', 'null'], format: 'uuid' },
  dueAt: TIME,
  startedAt: TIME,
  finishedAt: TIME,
} satisfies Members;

const INSTANCE_MEMBERS = {
  id: UUID,
  process: { type: 'string' },
  state: { type: 'string', enum: INSTANCE_STATES },
  input: ANYTHING,
  createdAt: { type: 'string', format: 'date-time' },
  finishedAt: TIME,
  tasks: { type: 'array', items: object(TASK_MEMBERS) },
} satisfies Members;

const INSTANCE = object(INSTANCE_MEMBERS);

const LISTED_TASK = object({ ...TASK_MEMBERS, input: { type: ['array', 'null'], items: {} } });
/** Those at the end of a long list have two members more. */
const LISTED = object(
  { ...INSTANCE_MEMBERS, tasks: { type: 'array', items: LISTED_TASK } },
  { abridged: { type: 'boolean' }, location: { type: 'string', format: 'uri-reference' } },
);

const DESCRIPTION: JsonSchema = {
  type: 'object',
  properties: { id: { type: 'string' }, name: { type: 'string' }, description: { type: 'string' } },
  required: ['id', 'name', 'description'],
};

const INSTANCE_ID = pathParameter('instance_id', 'Id of the instance.', UUID);
const NOT_FOUND = problem('There is none.');

const CREATED = {
  201: json('Created; the synchronous tasks are done, their results are in it.', INSTANCE),
  200: json('It was there already, made by the same request.', INSTANCE),
  422: problem('A field or a validation does not hold: `errors` names each, and why.'),
  502: problem('A synchronous task failed: `task` says which, `instance` what was done before.'),
};

/** @param listsAll whether `GET /` is ours */
export function processPaths(
  descriptions: readonly ProcessDescription[],
  { listsAll }: { readonly listsAll: boolean },
): Paths {
  const list: Operation = {
    operationId: 'listProcesses',
    summary: 'Every process',
    tags: ['processes'],
    responses: { 200: json('What they tell of themselves.', { type: 'array', items: DESCRIPTION }) },
  };
  return {
    ...(listsAll ? { '/': { get: list } } : {}),
    ...Object.fromEntries(descriptions.flatMap(pathsOf)),
  };
}

function pathsOf(process: ProcessDescription): [string, PathItem][] {
  const { id, name, description, input } = process;
  const tags = ['processes', ...process.tags];
  const of = (operation: string) => `${operation} ${id}`;
  const create = {
    tags,
    ...(description === '' ? {} : { description }),
    requestBody: { required: true, ...jsonBody(input) },
  };
  const notFound = { 404: NOT_FOUND };
  return [
    [
      `/${id}`,
      {
        get: {
          operationId: of('describe'),
          summary: `What ${name} is`,
          tags,
          responses: { 200: json('What it tells of itself.', DESCRIPTION) },
        },
        post: {
          ...create,
          operationId: of('create'),
          summary: `Create an instance of ${name}`,
          parameters: [IDEMPOTENCY_KEY],
          responses: CREATED,
        },
      },
    ],
    [
      `/${id}/instances`,
      {
        get: {
          operationId: of('list'),
          summary: `Instances of ${name}, newest first`,
          tags,
          parameters: [
            queryParameter('state', 'Only in this state.', { type: 'string', enum: INSTANCE_STATES }),
            queryParameter('limit', 'How many.', { type: 'integer', minimum: 1, maximum: 1000, default: 100 }),
            queryParameter('offset', 'After how many.', { type: 'integer', minimum: 0, default: 0 }),
          ],
          responses: {
            200: json('Instances; what is long is left out behind the first 8 MiB.', { type: 'array', items: LISTED }),
          },
        },
      },
    ],
    [
      `/${id}/{instance_id}`,
      {
        put: {
          ...create,
          operationId: of('put'),
          summary: `Create an instance of ${name} with an id of your own; the same again changes nothing`,
          parameters: [INSTANCE_ID],
          responses: { ...CREATED, 409: problem('There is another instance of this id.') },
        },
        get: {
          operationId: of('show'),
          summary: `An instance of ${name}`,
          tags,
          parameters: [INSTANCE_ID],
          responses: { 200: json('State, and each task with its result.', INSTANCE), ...notFound },
        },
        delete: {
          operationId: of('cancel'),
          summary: `End an instance of ${name}`,
          tags,
          parameters: [INSTANCE_ID],
          responses: {
            200: json('It has ended.', INSTANCE),
            202: json('It is about to end.', INSTANCE),
            409: problem('It had ended already.'),
            ...notFound,
          },
        },
      },
    ],
  ];
}
