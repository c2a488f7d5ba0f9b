import { UsageError } from '../../errors.ts';
import type { CommandContext } from '../context.ts';
import { withTasks } from './task-service.ts';

export interface CancelOptions {
  readonly all?: string;
  /** Milliseconds. */
  readonly timeout: number;
}

/** Ends one task, or all of a name; waits until they have ended. @returns 1 when it had ended before */
export async function cancel(
  context: CommandContext,
  id: string | undefined,
  { all, timeout }: CancelOptions,
): Promise<0 | 1> {
  if ((id === undefined) === (all === undefined)) throw new UsageError('say either the id of a task, or --all NAME');
  return withTasks(context, async (tasks) => {
    const options = { timeout: `${timeout}ms` } as const;
    if (all !== undefined) {
      const cancelled = await tasks.cancelAll(all, options);
      context.print({ cancelled }, `${cancelled} cancelled`);
      return 0;
    }
    const taskId = id ?? '';
    const { state, hadEnded } = await tasks.cancel(taskId, options);
    context.print(
      { id: taskId, state, hadEnded },
      hadEnded ? `it had ended before: ${state}` : `it has ended: ${state}`,
    );
    return hadEnded ? 1 : 0;
  });
}
