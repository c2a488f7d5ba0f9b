import { TaskProcessError } from '../errors.ts';
import type { Logger } from '../lifecycle/logger.ts';
import { Lifecycle, type Service, type ServiceState } from '../lifecycle/service.ts';
import { aborted } from '../util/aborted.ts';
import { maskUrl } from '../util/mask.ts';
import { messageOf } from '../util/thrown.ts';
import { ProcessGuard } from './guard.ts';
import type { Isolation } from './isolation.ts';
import { ProcessShelf } from './process-shelf.ts';
import { TaskProcess, type TaskProcessOptions } from './task-process.ts';

export interface ProcessPoolOptions {
  /** See `TaskProcessOptions`. */
  readonly nodeArguments: readonly string[];
  readonly load: { readonly root: string; readonly files: readonly string[] };
  readonly isolation: Isolation;
  /** Processes that wait with everything loaded, for each distinct list of environment variables. */
  readonly spare: number;
  /** Runs of a process; 1: each run has a fresh one. */
  readonly reuse: number;
  readonly memoryBytes: number;
  readonly processes: number;
  readonly logBytes: number;
  readonly onOutput: (chunk: Buffer) => void;
  readonly logger: Logger;
  /** Asked at each fork. See `TaskProcessOptions`. @default none */
  readonly variables?: (() => Readonly<Record<string, string>>) | undefined;
  /** Lists of variables that tasks declare: processes are kept for each. */
  readonly environments: readonly (readonly string[])[];
  /** Called when another answer of `isAble` is to be had. @default nobody is told */
  readonly onChange?: () => void;
}

/** A process that is reused is replaced when it holds more than this share of the memory that a run may have. */
const RECYCLE_SHARE = 0.5;

/** Of what a process printed that could not be made ready. */
const SHOWN_CHARACTERS = 2_000;

/** How long after a failure processes are made one after the other. */
const CAREFUL_MS = 10_000;

const KILLED = 'a process for tasks was killed before it was ready';
const NOT_READY =
  'a process for tasks could not be made ready; no task that needs one is begun here until one is: ' +
  'see its output, and restart the worker if its files were replaced';

/** Processes for tasks, forked ahead of need: a task does not wait for Node to start and files to load. */
export class ProcessPool implements Service {
  readonly name = 'task processes';
  readonly #options: ProcessPoolOptions;
  readonly #lifecycle: Lifecycle;
  /** By the environment that they were started with. */
  readonly #shelves = new Map<string, ProcessShelf>();
  readonly #all = new Set<TaskProcess>();
  #guard: ProcessGuard | undefined;
  /** Shelves that are failing. */
  #failing = 0;
  /** When one that could make processes ready failed to. */
  #failedMs = Number.NEGATIVE_INFINITY;
  #isClosed = true;

  constructor(options: ProcessPoolOptions) {
    this.#options = options;
    this.#lifecycle = new Lifecycle(this.name, { start: (signal) => this.#start(signal), stop: () => this.#stop() });
  }

  get state(): ServiceState {
    return this.#lifecycle.state;
  }

  /** Processes that are not over. */
  get size(): number {
    return this.#all.size;
  }

  /** Whether it can make processes ready, as far as it knows, with each list of variables. */
  get isWhole(): boolean {
    return this.#failing === 0;
  }

  /**
   * How many could be taken, as far as it knows: when it can make none ready, those that are; when it can again, no more
   * for a while, since there may be room for one and not for more. Of whichever list those are that are taken.
   */
  get capacity(): number {
    if (!this.#isLimited) return Infinity;
    const ready = this.#lists.map((shelf) => shelf.ready).filter((count) => count > 0);
    if (ready.length > 0) return Math.min(...ready);
    const isTrying = [...this.#all].some((one) => !one.isReady && !one.isOver);
    return isTrying || this.#areAllFailing ? 0 : 1;
  }

  /** Whether a process that has these variables could be taken, as far as it knows. */
  isAble(environment: readonly string[]): boolean {
    const { isFailing, ready } = this.#shelfOf(environment);
    if (!this.#isLimited) return !isFailing;
    return ready > 0 || (!isFailing && this.#lists.every((shelf) => shelf.ready === 0));
  }

  /** Where some lists are well, and no failure is new, nothing is. */
  get #isLimited(): boolean {
    return this.#isCareful || (this.#failing > 0 && this.#areAllFailing);
  }

  get #areAllFailing(): boolean {
    return this.#lists.every(({ isFailing }) => isFailing);
  }

  get #lists(): ProcessShelf[] {
    return this.#options.environments.map((environment) => this.#shelfOf(environment));
  }

  get #isCareful(): boolean {
    return performance.now() - this.#failedMs < CAREFUL_MS;
  }

  /**
   * Resolves when the first spare process is ready.
   * @throws TaskProcessError (SVC_COMM_TASK_PROCESS) when it cannot be
   */
  start(): Promise<void> {
    return this.#lifecycle.start();
  }

  /** Kills those that are left. */
  stop(): Promise<void> {
    return this.#lifecycle.stop();
  }

  /**
   * A process that is ready, or was: it may die at any moment. One that is killed while it loads is given as well, so
   * that another is tried.
   * @param signal ends the wait, and the process with it
   * @throws TaskProcessError (SVC_COMM_TASK_PROCESS); the signal's reason
   */
  async take(environment: readonly string[], signal: AbortSignal): Promise<TaskProcess> {
    const shelf = this.#shelfOf(environment);
    const one = shelf.take() ?? this.#fork(environment);
    if (!this.#isClosed) shelf.refill();
    const loaded = one.ready.catch((error: unknown) => {
      if (!one.wasKilled) throw error;
    });
    await Promise.race([loaded, aborted(signal)]);
    if (one.isReady || !signal.aborted) return one;
    await one.kill();
    throw signal.reason;
  }

  /** Takes a process back after its run. */
  give(one: TaskProcess, environment: readonly string[]): void {
    const { reuse, memoryBytes, spare } = this.#options;
    const shelf = this.#shelfOf(environment);
    const isFit = !this.#isClosed && !one.isOver && one.runs < reuse && shelf.size < Math.max(spare, 1) * 2;
    const isLean = one.residentBytes < memoryBytes * RECYCLE_SHARE;
    if (isFit && isLean) shelf.give(one);
    else void one.leave();
  }

  async #start(signal: AbortSignal): Promise<void> {
    const { isolation, environments } = this.#options;
    this.#isClosed = false;
    if (isolation.level === 'group') this.#guard = new ProcessGuard();
    const [first = [], ...others] = environments;
    const one = this.#fork(first);
    this.#shelfOf(first).give(one);
    await Promise.race([one.ready, aborted(signal)]);
    if (signal.aborted) return;
    for (const environment of [first, ...others]) this.#shelfOf(environment).refill();
  }

  async #stop(): Promise<void> {
    this.#isClosed = true;
    for (const shelf of this.#shelves.values()) shelf.close();
    this.#shelves.clear();
    this.#failing = 0;
    await Promise.all([...this.#all].map((one) => one.kill()));
    this.#guard?.close();
    this.#guard = undefined;
  }

  #shelfOf(environment: readonly string[]): ProcessShelf {
    const key = environment.join(' ');
    const { spare } = this.#options;
    const shelf =
      this.#shelves.get(key) ??
      new ProcessShelf({ spare, fork: () => this.#fork(environment), isCareful: () => this.#isCareful });
    this.#shelves.set(key, shelf);
    return shelf;
  }

  /** Those that are ended on purpose are no spares by then; one that had not loaded its files is told of by them. */
  #exited(one: TaskProcess, environment: readonly string[], wasReady: boolean): void {
    const shelf = this.#shelfOf(environment);
    if (!shelf.remove(one) || !wasReady) return;
    void one.over.then(() => {
      const { pid, ending } = one;
      this.#options.logger.warn({ pid, ending }, 'a process for tasks died while it waited for one; it is replaced');
    });
    shelf.died();
  }

  /** @throws TaskProcessError of what Node tells by throwing */
  #fork(env: readonly string[]): TaskProcess {
    const { nodeArguments, load, isolation, memoryBytes, processes, logBytes, onOutput } = this.#options;
    const guard = this.#guard;
    const limits = { memoryBytes, processes };
    const variables = this.#options.variables?.() ?? {};
    const onExit = (wasReady: boolean) => this.#exited(one, env, wasReady);
    const options = { nodeArguments, load, env, variables, isolation, guard, limits, logBytes, onOutput, onExit };
    const one = this.#spawn(options);
    this.#all.add(one);
    void one.over.then(() => {
      this.#all.delete(one);
      // Those that had no run say nothing of room: with them it would try without end.
      if (one.runs > 0 && !this.#isClosed) this.#shelfOf(env).roomCame();
    });
    one.ready.then(
      () => this.#madeReady(env),
      (error: unknown) => this.#notReady(one, env, error),
    );
    return one;
  }

  #spawn(options: TaskProcessOptions): TaskProcess {
    try {
      return new TaskProcess(options);
    } catch (error) {
      // Without memory, and with a root that is a file; of other reasons the process tells.
      const failure = new TaskProcessError(messageOf(error), { cause: error });
      this.#options.logger.error({ error: failure }, NOT_READY);
      this.#fails(options.env);
      throw failure;
    }
  }

  #notReady(one: TaskProcess, environment: readonly string[], error: unknown): void {
    void one.kill();
    const shelf = this.#shelfOf(environment);
    shelf.remove(one);
    if (this.#isClosed) return;
    // Not in the error, which whoever starts a worker shows: Node prints lines of the source with their secrets.
    const output = maskUrl(one.takeOutput() ?? '').slice(-SHOWN_CHARACTERS);
    this.#options.logger.error({ error, output }, one.wasKilled ? KILLED : NOT_READY);
    if (!one.wasKilled) this.#fails(environment);
    // It was to show whether others can.
    else if (shelf.isFailing) shelf.failed();
  }

  /** The next would fail as well, most likely: one is tried from time to time. */
  #fails(environment: readonly string[]): void {
    const shelf = this.#shelfOf(environment);
    const isNew = !shelf.isFailing;
    shelf.failed();
    if (!isNew) return;
    this.#failedMs = performance.now();
    this.#failing += 1;
    // What has come over it may have come over all: those that wait say nothing of packages that are gone since.
    for (const other of this.#options.environments) this.#suspect(this.#shelfOf(other));
    this.#options.onChange?.();
  }

  #suspect(shelf: ProcessShelf): void {
    if (shelf.isFailing) return;
    this.#failing += 1;
    shelf.suspected();
  }

  #madeReady(environment: readonly string[]): void {
    if (this.#isClosed) return;
    const shelf = this.#shelfOf(environment);
    const wasFailing = shelf.isFailing;
    shelf.madeReady();
    if (!wasFailing && !this.#isCareful) return;
    if (wasFailing) this.#failing -= 1;
    if (wasFailing && this.#failing === 0) this.#options.logger.info({}, 'processes for tasks are made ready again');
    // The one that was tried may be one more than are to wait.
    if (wasFailing && shelf.size > Math.max(this.#options.spare, 1)) void shelf.take()?.leave();
    shelf.refill();
    this.#options.onChange?.();
  }
}
