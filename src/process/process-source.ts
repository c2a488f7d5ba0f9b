import { NotRunningError } from '../errors.ts';
import type { Processes } from './processes.ts';
import type { ProcessRegistry } from './registry.ts';

export interface ProcessSource {
  /** What creates instances: it starts with the first call, for which the database must answer. */
  readonly processes: () => Promise<Processes>;
  /** Which processes there are. Nothing starts for it. */
  readonly registry: () => Promise<ProcessRegistry>;
}

const notSet = () => Promise.reject(new NotRunningError('processes', 'not set: import svc-comm/process'));

let source: ProcessSource = { processes: notSet, registry: notSet };

/** Says where the process API finds processes, when nobody gave it any. */
export function useProcesses(given: ProcessSource): void {
  source = given;
}

export const defaultProcesses: ProcessSource = Object.freeze({
  processes: () => source.processes(),
  registry: () => source.registry(),
});
