import { AsyncLocalStorage } from 'node:async_hooks';
import { NotRunningError } from '../errors.ts';
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
  return { ...defaults, idempotencyKey: `${defaults.idempotencyKey}\n${nth}` };
}

let source: () => Promise<Tasks> = () =>
  Promise.reject(new NotRunningError('the client of tasks', 'not set: import svc-comm/task'));

/** Says where `start` of a task finds what submits it. Asked at each start: files that define tasks open nothing. */
export function useTaskClient(get: () => Promise<Tasks>): void {
  source = get;
}

export const taskClient = async (): Promise<Tasks> => scopes.getStore()?.client ?? source();
