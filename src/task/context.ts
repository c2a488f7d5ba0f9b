import type { Logger } from '../lifecycle/logger.ts';
import type { TaskId } from './state.ts';

/** What a task's function gets besides its arguments. */
export interface TaskContext {
  readonly taskId: TaskId;
  /** 1 for the first run. */
  readonly attempt: number;
  /**
   * Aborts at a cancel, at the timeout and when the worker stops. From then on there is the grace time to end; then the
   * process is killed, and every process that it started.
   */
  readonly signal: AbortSignal;
  /**
   * Tells how far it is; kept in the task's row and sent to those who watch, at most every 100 ms.
   * @param fraction 0 … 1
   * @param note what it does now; cut to 200 characters
   */
  progress(fraction: number, note?: string): void;
  readonly logger: Logger;
}
