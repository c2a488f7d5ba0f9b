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

const scopes = new AsyncLocalStorage<StartScope>();

/** Runs `work`; what it starts, and what it awaits starts, is started in this scope. */
export const inStartScope = <T>(scope: StartScope, work: () => T): T => scopes.run(scope, work);

export const startDefaults = (): StartScope['defaults'] => scopes.getStore()?.defaults ?? {};

let source: () => Promise<Tasks> = () =>
  Promise.reject(new NotRunningError('the client of tasks', 'not set: import svc-comm/task'));

/** Says where `start` of a task finds what submits it. Asked at each start: files that define tasks open nothing. */
export function useTaskClient(get: () => Promise<Tasks>): void {
  source = get;
}

export const taskClient = async (): Promise<Tasks> => scopes.getStore()?.client ?? source();
