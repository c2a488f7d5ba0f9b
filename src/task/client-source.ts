import { NotRunningError } from '../errors.ts';
import type { Tasks } from './tasks.ts';

let source: () => Promise<Tasks> = () =>
  Promise.reject(new NotRunningError('the client of tasks', 'not set: import svc-comm/task'));

/** Says where `start` of a task finds what submits it. Asked at each start: files that define tasks open nothing. */
export function useTaskClient(get: () => Promise<Tasks>): void {
  source = get;
}

export const taskClient = (): Promise<Tasks> => source();
