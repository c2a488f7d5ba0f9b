import type { SqlExecutor } from '../database/executor.ts';
import { InstanceWaitTimeoutError, TaskNotFoundError, TaskWaitTimeoutError } from '../errors.ts';
import { requestCancel } from '../task/sql/cancel.ts';
import type { Tasks } from '../task/tasks.ts';
import { durationMs } from '../util/duration.ts';
import { sleep } from '../util/sleep.ts';
import { hasEnded } from './instance.ts';
import type { EndOptions } from './processes.ts';
import type { InstanceRecord } from './sql/read.ts';
import { requestInstanceCancel } from './sql/sweep.ts';

/**
 * Asks for the end of an instance. While it is New its server ends it before the next step; after that its tasks are
 * ended, those that wait at once. Killed between the two statements below nothing has been asked for: ask again.
 */
export async function cancelInstance(db: SqlExecutor, schema: string, id: string): Promise<void> {
  if (await requestInstanceCancel(db, schema, id)) return;
  await requestCancel(db, schema, { processInstance: id });
}

/** How often an instance that is New is looked at: its server tells nobody of its steps. */
const LOOK_MS = 100;

export interface EndWaiting {
  readonly read: () => Promise<InstanceRecord>;
  readonly tasks: Tasks;
}

/** Waits for the last of its tasks. @throws InstanceWaitTimeoutError, what `read` throws, the signal's reason */
export async function endOfInstance(
  id: string,
  { read, tasks }: EndWaiting,
  { timeout, signal }: EndOptions,
): Promise<InstanceRecord> {
  const timeoutMs = timeout === undefined ? undefined : durationMs(timeout, 'timeout', 's');
  const deadline = timeoutMs === undefined ? Number.POSITIVE_INFINITY : performance.now() + timeoutMs;
  for (;;) {
    signal?.throwIfAborted();
    const instance = await read();
    if (hasEnded(instance)) return instance;
    const leftMs = deadline - performance.now();
    if (leftMs <= 0) throw new InstanceWaitTimeoutError(id, timeoutMs ?? 0);
    const open = instance.tasks.find(({ kind, status }) => kind === 'async' && /^(PENDING|STARTED)$/.test(status));
    if (open?.taskId === undefined) await sleep(Math.min(LOOK_MS, leftMs), signal);
    else {
      const limit = Number.isFinite(leftMs) ? { timeout: `${Math.ceil(leftMs)}ms` as const } : {};
      await tasks.waitForEnd(open.taskId, { ...limit, ...(signal ? { signal } : {}) }).catch((error: unknown) => {
        // Told above: its time is over, or the task was forgotten meanwhile.
        if (!(error instanceof TaskWaitTimeoutError) && !(error instanceof TaskNotFoundError)) throw error;
      });
    }
  }
}
