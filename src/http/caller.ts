import type { FastifyRequest } from 'fastify';

/** Who calls, as the guard found out. */
export interface Caller {
  /** Whose tasks they start and see; `''` when nobody said. */
  readonly owner: string;
  /** Whether they see the tasks of all owners. */
  readonly seesAll: boolean;
}

/** Where nobody is told apart: no `authenticate` hook, or the token of the whole server. */
export const EVERYBODY: Caller = Object.freeze({ owner: '', seesAll: true });

/** Of the requests of a guarded scope. Not a property of the request: others' code shall not set it by its name. */
const callers = new WeakMap<FastifyRequest, Caller>();

export const setCaller = (request: FastifyRequest, caller: Caller): void => {
  if (caller !== EVERYBODY) callers.set(request, caller);
};

export const callerOf = (request: FastifyRequest): Caller => callers.get(request) ?? EVERYBODY;
