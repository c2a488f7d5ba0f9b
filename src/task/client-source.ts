import { AsyncLocalStorage } from 'node:async_hooks';
import { createHash } from 'node:crypto';
import { NotRunningError } from '../errors.ts';
import { MAX_NAME_BYTES } from '../message/message.ts';
import type { StartOptions, Tasks } from './tasks.ts';

/** What starts of tasks take from where they are called: an HTTP request has a caller, and a key of the caller's. */
export interface StartScope {
  /** Submits them. @default the process's own */
  readonly client?: Tasks;
  /** For what a start does not say itself. */
  readonly defaults: Pick<StartOptions, 'submitter' | 'idempotencyKey'>;
}

interface OpenScope extends StartScope {
  /** How many of each name were started in it. */
  readonly started: Map<string, number>;
}

const scopes = new AsyncLocalStorage<OpenScope>();

/** Runs `work`; what it starts, and what it awaits starts, is started in this scope. */
export const inStartScope = <T>(scope: StartScope, work: () => T): T =>
  scopes.run({ ...scope, started: new Map() }, work);

/** Runs `work` in the scope that it is in, without the key of the caller's: what it starts belongs to something of its own. */
export function withoutKey<T>(work: () => T): T {
  const scope = scopes.getStore();
  if (!scope) return work();
  const { idempotencyKey: _, ...defaults } = scope.defaults;
  return inStartScope({ ...scope, defaults }, work);
}

/**
 * For the next start of a task of this name. A key stands for one task of a name, and the caller, who has the key, does
 * not know how many there will be: the second and further ones have keys of their own, in the order in which they are
 * started.
 */
export function startDefaults(name: string): StartScope['defaults'] {
  const scope = scopes.getStore();
  if (!scope) return {};
  const { defaults, started } = scope;
  const nth = (started.get(name) ?? 0) + 1;
  started.set(name, nth);
  if (nth === 1 || defaults.idempotencyKey === undefined) return defaults;
  // No key of a caller holds a line break: a header cannot.
  const key = `${defaults.idempotencyKey}\n${nth}`;
  return { ...defaults, idempotencyKey: key.length <= MAX_NAME_BYTES ? key : `\n${digestOf(key)}` };
}

/** For one that is too long to be a key. */
const digestOf = (key: string): string => createHash('sha256').update(key).digest('base64url');

let source: () => Promise<Tasks> = () =>
  Promise.reject(new NotRunningError('the client of tasks', 'not set: import svc-comm/task'));

/** Says where `start` of a task finds what submits it. Asked at each start: files that define tasks open nothing. */
export function useTaskClient(get: () => Promise<Tasks>): void {
  source = get;
}

export const taskClient = async (): Promise<Tasks> => scopes.getStore()?.client ?? source();
