import type { FinalState, TaskEvent, TaskId, TaskRecord, TaskState } from './state.ts';
import type { CancelResult, Tasks, WaitOptions } from './tasks.ts';

/** A submitted task. Holds no connection: throw it away when you like, and make it anew by `Tasks.handle(id)`. */
export class TaskHandle<Result = unknown> {
  readonly id: TaskId;
  /** Whether `start` found it by its id or idempotency key and submitted nothing. */
  readonly wasKnown: boolean;
  readonly #tasks: Tasks;

  constructor(id: TaskId, tasks: Tasks, wasKnown = false) {
    this.id = id;
    this.wasKnown = wasKnown;
    this.#tasks = tasks;
  }

  /** @throws TaskNotFoundError (SVC_COMM_TASK_NOT_FOUND) also while its transaction has not committed */
  async state(): Promise<TaskState> {
    return (await this.record()).state;
  }

  /** @throws TaskNotFoundError (SVC_COMM_TASK_NOT_FOUND) */
  record(): Promise<TaskRecord> {
    return this.#tasks.record(this.id);
  }

  /**
   * Waits until it has ended and gives what its function returned.
   * @throws TaskFailedError, TaskTimeoutError, TaskRevokedError, TaskLostError: how it ended;
   *   TaskWaitTimeoutError when that takes longer than `timeout`; TaskNotFoundError
   */
  async result(options: WaitOptions = {}): Promise<Result> {
    return (await this.#tasks.result(this.id, options)) as Result;
  }

  /** Waits until it has ended. @returns how @throws TaskWaitTimeoutError, TaskNotFoundError */
  async ended(options: WaitOptions = {}): Promise<FinalState> {
    return (await this.#tasks.waitForEnd(this.id, options)).state;
  }

  /**
   * Ends it, with all of its processes. Resolves when it has really ended: at most the grace time and a second later,
   * when its worker is alive.
   */
  cancel(options: WaitOptions = {}): Promise<CancelResult> {
    return this.#tasks.cancel(this.id, options);
  }

  /** Its state now, and what becomes of it until it has ended. */
  events(options: { readonly signal?: AbortSignal } = {}): AsyncGenerator<TaskEvent, void> {
    return this.#tasks.events(this.id, options);
  }
}
