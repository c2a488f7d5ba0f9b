import { NotRunningError } from '../errors.ts';
import type { Processes } from './processes.ts';

let source: () => Promise<Processes> = () =>
  Promise.reject(new NotRunningError('processes', 'not set: import svc-comm/process'));

/** Says where the process API finds what creates instances, when nobody gave it one. */
export function useProcesses(get: () => Promise<Processes>): void {
  source = get;
}

export const defaultProcesses = (): Promise<Processes> => source();
