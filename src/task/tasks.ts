import { validate as isUuid, v7 as uuidv7 } from 'uuid';
import type { DatabaseConnection } from '../database/connection.ts';
import type { SqlExecutor } from '../database/executor.ts';
import { leaveOldServer } from '../database/leave-old-server.ts';
import { ASKED_MS, DatabaseLink } from '../database/link.ts';
import type { Transactions } from '../database/transactions.ts';
import { InvalidArgumentError, TaskNotFoundError } from '../errors.ts';
import type { Logger } from '../lifecycle/logger.ts';
import { Lifecycle, type Service, type ServiceState } from '../lifecycle/service.ts';
import { assertKnownNames, assertObject, assertSignal, kindOf } from '../util/assert-object.ts';
import { type Duration, durationMs } from '../util/duration.ts';
import type { Waits } from '../util/waits.ts';
import { startDefaults } from './client-source.ts';
import type { TaskDefinition } from './definition.ts';
import { taskEvents } from './events.ts';
import { TaskHandle } from './handle.ts';
import { listOptions } from './list-options.ts';
import { START_OPTIONS, type StartOptions } from './new-task.ts';
import { Peers } from './peers.ts';
import type { TaskRegistry } from './registry.ts';
import { requestCancel } from './sql/cancel.ts';
import { countLive, countRunning, listTasks, readTask, type TaskCounts } from './sql/read.ts';
import type { Outcome } from './sql/task-row.ts';
import {
  type FinalState,
  isFinal,
  type ListedTask,
  TASK_STATES,
  type TaskEvent,
  type TaskId,
  type TaskRecord,
  type TaskState,
} from './state.ts';
import { Submitter } from './submitter.ts';
import { outcomeValue, waitForEnd } from './wait.ts';
import { TaskWatch } from './watch.ts';

export type { StartOptions } from './new-task.ts';

export interface TasksParts {
  readonly registry: TaskRegistry;
  /** Opens connections of its own: one for statements, one to listen. */
  readonly connect: (name: string) => Promise<DatabaseConnection>;
  readonly transactions: Transactions;
  /** Where our tables are. */
  readonly schema: string;
  /** The broker's queue that workers take tasks from. */
  readonly queue: string;
  readonly logger: Logger;
  /** Whether `start` waits for a database that is down. @default true */
  readonly wait?: Waits;
  /** How often the rows of awaited tasks are looked at without being notified, in ms. @default 1000 */
  readonly pollMs?: number;
  /** @default true */
  readonly listen?: boolean;
}

export interface WaitOptions {
  /** How long to wait; a number is seconds. @default for ever */
  readonly timeout?: Duration;
  /** Gives up waiting; the task goes on. */
  readonly signal?: AbortSignal;
}

export interface ListOptions {
  readonly name?: string;
  readonly submitter?: string;
  readonly states?: readonly TaskState[];
  /** 1 … 1000. @default 100 */
  readonly limit?: number;
  /** @default 0 */
  readonly offset?: number;
  /** Whether the arguments of each are read. @default true */
  readonly args?: boolean;
}

/** `hadEnded`: it had ended before, in this state, and nothing was done. */
export interface CancelResult {
  readonly state: FinalState;
  readonly hadEnded: boolean;
}

const WAIT_OPTIONS: readonly (keyof WaitOptions)[] = ['timeout', 'signal'];
const DEFAULTS = Object.freeze({ wait: true, pollMs: 1000, listen: true });

/** Submits tasks and tells what becomes of them. It runs none: that is what workers do. */
export class Tasks implements Service {
  readonly name = 'tasks';
  readonly registry: TaskRegistry;
  readonly #parts: Required<TasksParts>;
  readonly #lifecycle: Lifecycle;
  #db: DatabaseLink | undefined;
  #watch: TaskWatch | undefined;
  #submitter: Submitter | undefined;
  /** Why it could not be started last, for who has been given it before that. */
  #failure: unknown;

  constructor(parts: TasksParts) {
    this.#parts = { ...DEFAULTS, ...parts };
    this.registry = parts.registry;
    this.#lifecycle = new Lifecycle(this.name, { start: (signal) => this.#start(signal), stop: () => this.#stop() });
  }

  get state(): ServiceState {
    return this.#lifecycle.state;
  }
  /** Resolves when the database answers. */
  start(): Promise<void> {
    return this.#lifecycle.start();
  }
  stop(): Promise<void> {
    return this.#lifecycle.stop();
  }

  /** The registered tasks. */
  get definitions(): readonly TaskDefinition[] {
    return this.registry.definitions;
  }

  /**
   * Submits a run of a registered task.
   * @throws UnknownTaskError, InvalidTaskArgumentsError, OverMaxConcurrencyError, TaskConflictError,
   *   InvalidArgumentError, UnserialisablePayloadError, DatabaseUnavailableError
   */
  async submit(name: string, args: unknown, options: StartOptions = {}): Promise<TaskHandle> {
    return this.startTask(this.registry.get(name).definition, args, options);
  }

  /** The same, of a definition in hand. */
  startTask(definition: TaskDefinition, args: unknown, options: StartOptions = {}): Promise<TaskHandle> {
    return this.#submit(definition, args, options, { id: options?.id ?? uuidv7(), names: START_OPTIONS });
  }

  async #submit(
    definition: TaskDefinition,
    args: unknown,
    given: StartOptions,
    { id, names }: { readonly id: string; readonly names: readonly string[] },
  ): Promise<TaskHandle> {
    assertObject('definition', definition, 'the definition of what task() returned');
    if (!('schema' in definition)) {
      throw new InvalidArgumentError('definition', 'the definition of what task() returned', 'another object');
    }
    // A misspelt key, time or transaction would start it twice, too soon, or beside the transaction.
    assertKnownNames('options', given, names);
    const options = { ...startDefaults(definition.name), ...given };
    const { registered, wasKnown } = await this.#open(this.#submitter).submit(definition, args, options, id);
    return new TaskHandle(registered, this, wasKnown);
  }

  /** Submits and waits, one round trip less than `startTask` and `result`. */
  async runTask(definition: TaskDefinition, args: unknown, options: StartOptions & WaitOptions = {}): Promise<unknown> {
    const id = options.id ?? uuidv7();
    const start = () => this.#submit(definition, args, options, { id, names: [...START_OPTIONS, ...WAIT_OPTIONS] });
    return outcomeValue(await waitForEnd(id, this.#waiting(options), start));
  }

  /** A handle to a task of this id, whether it exists or not. */
  handle<Result = unknown>(id: TaskId): TaskHandle<Result> {
    return new TaskHandle<Result>(id, this);
  }

  /** @returns undefined when there is none */
  async find(id: TaskId): Promise<TaskRecord | undefined> {
    // Any text may come from outside; one that is no UUID belongs to no task.
    return isUuid(id) ? readTask(this.#executor, this.#parts.schema, id) : undefined;
  }

  /** @throws TaskNotFoundError (SVC_COMM_TASK_NOT_FOUND) */
  async record(id: TaskId): Promise<TaskRecord> {
    const record = await this.find(id);
    if (!record) throw new TaskNotFoundError(id);
    return record;
  }

  /** Newest first; arguments and results of the first 8 MiB, see `ListedTask.isAbridged`. */
  async list(options: ListOptions = {}): Promise<ListedTask[]> {
    const { args: hasArguments = true, ...filter } = listOptions(options, ['name', 'submitter'], TASK_STATES, ['args']);
    if (typeof hasArguments !== 'boolean') throw new InvalidArgumentError('args', 'a boolean', kindOf(hasArguments));
    return listTasks(this.#executor, this.#parts.schema, { ...filter, hasArguments });
  }

  /** How many wait and run, by name; names without any are left out. */
  counts(): Promise<Map<string, TaskCounts>> {
    return countLive(this.#executor, this.#parts.schema);
  }

  /**
   * How many of a name count against its limit: those that run, and those that hold a place while they wait. Without a
   * limit those that run or wait for a worker.
   * @throws UnknownTaskError
   */
  async runningCount(name: string): Promise<number> {
    const { maxConcurrency } = this.registry.get(name).definition;
    return countRunning(this.#executor, this.#parts.schema, { name, isLimited: maxConcurrency > 0 });
  }

  /** See `TaskHandle.result`. */
  async result(id: TaskId, options: WaitOptions = {}): Promise<unknown> {
    return outcomeValue(await this.waitForEnd(id, options));
  }

  /** Waits until it has ended. @throws TaskWaitTimeoutError, TaskNotFoundError */
  async waitForEnd(id: TaskId, options: WaitOptions = {}): Promise<Outcome> {
    if (!isUuid(id)) throw new TaskNotFoundError(id);
    return waitForEnd(id, this.#waiting(options));
  }

  /**
   * Ends a task, with all of its processes; resolves when it has really ended.
   * @throws TaskNotFoundError; TaskWaitTimeoutError: it was asked for, and is under way
   */
  async cancel(id: TaskId, options: WaitOptions = {}): Promise<CancelResult> {
    if (!isUuid(id)) throw new TaskNotFoundError(id);
    const [asked] = await requestCancel(this.#executor, this.#parts.schema, { id });
    if (!asked) {
      const { state } = await this.record(id);
      if (isFinal(state)) return { state, hadEnded: true };
    }
    if (asked && isFinal(asked.state)) return { state: asked.state, hadEnded: false };
    return { state: (await this.waitForEnd(id, options)).state, hadEnded: false };
  }

  /**
   * Ends every task of a name, or of a submitter among them, that waits or runs. Resolves when all have ended.
   * @returns how many there were
   */
  async cancelAll(name: string, options: WaitOptions & { readonly submitter?: string } = {}): Promise<number> {
    if (typeof name !== 'string') throw new InvalidArgumentError('name', 'the name of a task', kindOf(name));
    assertObject('options', options);
    const asked = await requestCancel(this.#executor, this.#parts.schema, { name, submitter: options.submitter });
    await Promise.all(asked.filter(({ state }) => !isFinal(state)).map(({ id }) => this.waitForEnd(id, options)));
    return asked.length;
  }

  /** The task's state now, then each change and its progress, until it has ended. @throws TaskNotFoundError */
  events(id: TaskId, options: { readonly signal?: AbortSignal } = {}): AsyncGenerator<TaskEvent, void> {
    assertObject('options', options);
    const { signal } = options;
    assertSignal(signal);
    return taskEvents(id, { watch: this.#open(this.#watch), read: () => this.record(id), signal });
  }

  async #start(signal: AbortSignal): Promise<void> {
    const { connect, transactions, schema, queue, logger, wait, pollMs, listen } = this.#parts;
    const db = new DatabaseLink({ name: 'tasks', connect: () => connect('tasks'), logger });
    this.#db = db;
    const workers = new Peers();
    this.#submitter = new Submitter({
      db: db.within(ASKED_MS),
      transactions,
      schema,
      queue,
      isHeard: () => workers.hasAny,
    });
    const watch = new TaskWatch({
      ...{ db, schema, logger, pollMs, listen },
      connect: () => connect('tasks listen'),
      beforeProof: () => leaveOldServer(db, () => connect('tasks')),
    });
    this.#watch = watch;
    watch.watchAll((notice) => {
      if (notice.kind === 'worker' && notice.queue === queue) workers.heard(notice.id, notice.word);
    });
    this.#failure = undefined;
    try {
      await db.open(signal, wait);
    } catch (error) {
      if (!signal.aborted) this.#failure = error;
      throw error;
    }
    await watch.open(signal);
  }

  async #stop(): Promise<void> {
    await this.#watch?.close();
    await this.#db?.close();
  }

  get #executor(): SqlExecutor {
    return this.#open(this.#db).within(ASKED_MS);
  }

  /** Also while the database has not answered yet: what a transaction of the caller's writes need not wait for that. */
  #open<T>(part: T | undefined): T {
    if (this.state === 'starting') return part as T;
    if (this.state === 'idle' && this.#failure !== undefined) throw this.#failure;
    this.#lifecycle.assertRunning();
    return part as T;
  }

  #waiting(options: WaitOptions) {
    assertObject('options', options);
    const { timeout, signal } = options;
    assertSignal(signal);
    const timeoutMs = timeout === undefined ? undefined : durationMs(timeout, 'timeout', 's');
    return { watch: this.#open(this.#watch), read: (id: string) => this.find(id), timeoutMs, signal };
  }
}
