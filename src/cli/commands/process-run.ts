import { failedTask, wasCancelled } from '../../process/instance.ts';
import type { Processes } from '../../process/processes.ts';
import type { CommandContext } from '../context.ts';
import { readData } from '../data.ts';
import { instanceText, operator, withProcesses } from './process-service.ts';

export interface RunOptions {
  readonly data: string;
  readonly id?: string;
  readonly detach?: boolean;
  /** Milliseconds. */
  readonly timeout?: number;
}

const HINT_MS = 3_000;

/** Creates an instance: its synchronous tasks run in this process. @returns 1 when it failed */
export async function run(context: CommandContext, process: string, options: RunOptions): Promise<0 | 1> {
  const { data, id, detach = false, timeout } = options;
  const body = await readData(data);
  const work = async (processes: Processes): Promise<0 | 1> => {
    const create = { submitter: operator(), request: { method: 'POST', url: `/${process}` } };
    const { instance } = await processes.create(process, body, { ...create, ...(id === undefined ? {} : { id }) });
    const isDone = detach || failedTask(instance) !== undefined;
    const hint = setTimeout(() => {
      globalThis.process.stderr.write(
        `instance ${instance.id} has tasks that wait still: does a worker run (svc-comm runworker), and a publisher?\n`,
      );
    }, HINT_MS);
    try {
      const limit = timeout === undefined ? {} : ({ timeout: `${timeout}ms` } as const);
      const ended = isDone ? instance : await processes.ended(instance.id, limit);
      context.print(ended, instanceText(ended));
      return ended.state === 'Failed' || ended.state === 'Cancelled' ? 1 : 0;
    } finally {
      clearTimeout(hint);
    }
  };
  return withProcesses(context, work, (registry) => registry.get(process));
}

/** @returns 1 when it had ended already */
export function cancel(context: CommandContext, id: string, { timeout }: { readonly timeout: number }): Promise<0 | 1> {
  return withProcesses(context, async (processes) => {
    const before = await processes.record(id);
    const ended = await processes.cancel(id, { timeout: `${timeout}ms` });
    context.print(ended, instanceText(ended));
    return wasCancelled(before, ended) ? 0 : 1;
  });
}
