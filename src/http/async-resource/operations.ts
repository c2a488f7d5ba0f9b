import type { FastifyRequest } from 'fastify';
import { assertKnownNames, assertObject } from '../../util/assert-object.ts';

/** The ten operations, with the request that each answers. */
export const OPERATIONS = {
  getList: { method: 'GET', isDetail: false },
  postList: { method: 'POST', isDetail: false },
  putList: { method: 'PUT', isDetail: false },
  deleteList: { method: 'DELETE', isDetail: false },
  patchList: { method: 'PATCH', isDetail: false },
  getDetail: { method: 'GET', isDetail: true },
  postDetail: { method: 'POST', isDetail: true },
  putDetail: { method: 'PUT', isDetail: true },
  deleteDetail: { method: 'DELETE', isDetail: true },
  patchDetail: { method: 'PATCH', isDetail: true },
} as const;

export type OperationName = keyof typeof OPERATIONS;
export const OPERATION_NAMES = Object.keys(OPERATIONS) as readonly OperationName[];

type ListName = 'getList' | 'postList' | 'putList' | 'deleteList' | 'patchList';
type DetailName = Exclude<OperationName, ListName>;

/** A request to a resource. What its query and body hold is for the task to check: `task.startFrom(request.query)`. */
export type ResourceRequest = FastifyRequest<{
  Querystring: Readonly<Record<string, string | undefined>>;
  Params: Readonly<Record<string, string>>;
  Body: unknown;
}>;

/** What an operation started; nothing: the request was not good, which is answered with 400. */
export type Started = { readonly id: string } | undefined | null;

type Answer = Started | Promise<Started>;

/** What each operation starts. Those that are left out are answered with 501. */
export type ResourceHandlers = {
  readonly [Name in ListName]?: (request: ResourceRequest) => Answer;
} & {
  readonly [Name in DetailName]?: (request: ResourceRequest, id: string) => Answer;
};

/**
 * A misspelt operation would be answered with 501. An object of a class, or a module, may have members of its own besides.
 * @throws InvalidArgumentError (SVC_COMM_INVALID_ARGUMENT)
 */
export function checkHandlers(handlers: unknown): asserts handlers is ResourceHandlers {
  assertObject('handlers', handlers, 'an object of operations such as getList');
  const isPlain = Object.getPrototypeOf(handlers) === Object.prototype;
  if (isPlain) assertKnownNames('handlers', handlers, OPERATION_NAMES);
}

/** What `authorize` is asked about: an operation, or a look at a task that one started, or its end. */
export type ResourceAction = OperationName | 'state' | 'result' | 'cancel';

export const METHODS = ['GET', 'POST', 'PUT', 'DELETE', 'PATCH'] as const;

export function operationOf(method: string, isDetail: boolean): OperationName | undefined {
  return OPERATION_NAMES.find((name) => OPERATIONS[name].method === method && OPERATIONS[name].isDetail === isDetail);
}
