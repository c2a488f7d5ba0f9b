import {
  TaskFailedError,
  TaskLostError,
  TaskNotFoundError,
  TaskRevokedError,
  TaskTimeoutError,
  TaskWaitTimeoutError,
} from '../errors.ts';
import { deferred } from '../util/deferred.ts';
import { onAbort } from '../util/on-abort.ts';
import type { Outcome } from './sql/task-row.ts';
import { isFinal, type TaskRecord } from './state.ts';
import type { TaskWatch } from './watch.ts';

export interface Waiting {
  readonly watch: TaskWatch;
  readonly read: (id: string) => Promise<TaskRecord | undefined>;
  /** undefined: for ever */
  readonly timeoutMs: number | undefined;
  readonly signal: AbortSignal | undefined;
}

/** Node's timers wrap around above it. */
const MAX_TIMER_MS = 2_147_483_647;

/**
 * Waits until the task has ended.
 * @param begin submits it, once it is watched: then its row need not be read before a notice comes. Returns the id to
 *   wait for, which is another one when the submit found an earlier task.
 * @throws TaskWaitTimeoutError, TaskNotFoundError, the signal's reason, what `begin` throws
 */
export async function waitForEnd(
  id: string,
  waiting: Waiting,
  begin?: () => Promise<{ readonly id: string; readonly wasKnown: boolean }>,
): Promise<Outcome> {
  const { watch, read, timeoutMs, signal } = waiting;
  signal?.throwIfAborted();
  const over = deferred<Outcome | 'look'>();
  const end = deferred<never>();
  end.promise.catch(() => undefined);
  let wake = over;
  const unwatch = watch.watch(id, (notice) => {
    if (notice.kind === 'look') wake.resolve('look');
    if (notice.kind === 'ended') wake.resolve(outcomeOf(notice) ?? 'look');
  });
  const forget = onAbort(signal, () => end.reject(signal?.reason));
  const timer =
    timeoutMs === undefined
      ? undefined
      : setTimeout(() => end.reject(new TaskWaitTimeoutError(id, timeoutMs)), Math.min(timeoutMs, MAX_TIMER_MS));
  try {
    const begun = await begin?.();
    if (begun && begun.id !== id) return await waitForEnd(begun.id, waiting);
    let mustRead = begun === undefined || begun.wasKnown;
    for (;;) {
      if (mustRead) {
        const record = await read(id);
        if (!record) throw new TaskNotFoundError(id);
        if (isFinal(record.state)) return { ...record, state: record.state };
      }
      const heard = await Promise.race([wake.promise, end.promise]);
      if (heard !== 'look') return heard;
      wake = deferred();
      mustRead = true;
    }
  } finally {
    clearTimeout(timer);
    unwatch();
    forget();
  }
}

/** undefined when the notice does not say it all. */
function outcomeOf(notice: {
  readonly id: string;
  readonly state: Outcome['state'];
  readonly result: string | undefined;
}): Outcome | undefined {
  const { id, state, result } = notice;
  if (state === 'REVOKED' || state === 'LOST') return { id, state };
  if (state !== 'SUCCESS' || result === undefined) return undefined;
  try {
    return { id, state, result: JSON.parse(result) as unknown };
  } catch {
    return undefined;
  }
}

/** What the function returned, or how it ended as an error. */
export function outcomeValue({ id, state, result, error }: Outcome): unknown {
  const reason = error?.message ?? 'no reason was kept';
  switch (state) {
    case 'SUCCESS':
      return result;
    case 'FAILURE':
      throw new TaskFailedError(id, error?.name ?? 'Error', reason);
    case 'TIMEOUT':
      throw new TaskTimeoutError(id, reason);
    case 'REVOKED':
      throw new TaskRevokedError(id);
    case 'LOST':
      throw new TaskLostError(id);
    default:
      return state satisfies never;
  }
}
