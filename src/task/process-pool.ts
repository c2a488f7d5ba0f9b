import type { Logger } from '../lifecycle/logger.ts';
import { Lifecycle, type Service, type ServiceState } from '../lifecycle/service.ts';
import { aborted } from '../util/aborted.ts';
import { backoffMs } from '../util/backoff.ts';
import { maskUrl } from '../util/mask.ts';
import { ProcessGuard } from './guard.ts';
import type { Isolation } from './isolation.ts';
import { TaskProcess } from './task-process.ts';

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
}

/** A process that is reused is replaced when it holds more than this share of the memory that a run may have. */
const RECYCLE_SHARE = 0.5;

/** Of what a process printed that could not be made ready. */
const SHOWN_CHARACTERS = 2_000;

/** A spare that dies so long after the one before begins the count of deaths anew. */
const CALM_MS = 60_000;

/** What is kept for one list of environment variables. */
interface Shelf {
  /** Those that are ready first. None of them is over. */
  readonly spares: TaskProcess[];
  /** Times that spares died, one soon after the other. */
  deaths: number;
  diedMs: number;
  /** Until then no spares are made: they would die again. */
  refill: NodeJS.Timeout | undefined;
}

/** Processes for tasks, forked ahead of need: a task does not wait for Node to start and files to load. */
export class ProcessPool implements Service {
  readonly name = 'task processes';
  readonly #options: ProcessPoolOptions;
  readonly #lifecycle: Lifecycle;
  /** By the environment that they were started with. */
  readonly #shelves = new Map<string, Shelf>();
  readonly #all = new Set<TaskProcess>();
  #guard: ProcessGuard | undefined;
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
    const { spares } = this.#shelfOf(environment);
    const readyAt = spares.findIndex((one) => one.isReady);
    const [taken] = spares.splice(Math.max(readyAt, 0), 1);
    const one = taken ?? this.#fork(environment);
    this.#refill(environment);
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
    const { spares } = this.#shelfOf(environment);
    const isFit = !this.#isClosed && !one.isOver && one.runs < reuse && spares.length < Math.max(spare, 1) * 2;
    const isLean = one.residentBytes < memoryBytes * RECYCLE_SHARE;
    if (isFit && isLean) spares.unshift(one);
    else void one.leave();
  }

  async #start(signal: AbortSignal): Promise<void> {
    const { isolation, environments } = this.#options;
    this.#isClosed = false;
    if (isolation.level === 'group') this.#guard = new ProcessGuard();
    const [first = [], ...others] = environments;
    const one = this.#fork(first);
    this.#shelfOf(first).spares.push(one);
    await Promise.race([one.ready, aborted(signal)]);
    if (signal.aborted) return;
    for (const environment of [first, ...others]) this.#refill(environment);
  }

  async #stop(): Promise<void> {
    this.#isClosed = true;
    for (const { refill } of this.#shelves.values()) clearTimeout(refill);
    this.#shelves.clear();
    await Promise.all([...this.#all].map((one) => one.kill()));
    this.#guard?.close();
    this.#guard = undefined;
  }

  #refill(environment: readonly string[]): void {
    const { spares, refill } = this.#shelfOf(environment);
    if (refill) return;
    while (!this.#isClosed && spares.length < this.#options.spare) spares.push(this.#fork(environment));
  }

  #shelfOf(environment: readonly string[]): Shelf {
    const key = environment.join(' ');
    const shelf = this.#shelves.get(key) ?? { spares: [], deaths: 0, diedMs: -CALM_MS, refill: undefined };
    this.#shelves.set(key, shelf);
    return shelf;
  }

  /** Those that are ended on purpose are no spares by then; one that had not loaded its files is told of by them. */
  #exited(one: TaskProcess, environment: readonly string[], wasReady: boolean): void {
    const shelf = this.#shelfOf(environment);
    if (!shelf.spares.includes(one)) return;
    shelf.spares.splice(shelf.spares.indexOf(one), 1);
    if (!wasReady) return;
    void one.over.then(() => {
      const { pid, ending } = one;
      this.#options.logger.warn({ pid, ending }, 'a process for tasks died while it waited for one; it is replaced');
    });
    this.#refillLater(shelf, environment);
  }

  /** What killed it may kill the next one: a database that restarts, what its files do when they have been loaded. */
  #refillLater(shelf: Shelf, environment: readonly string[]): void {
    if (shelf.refill) return;
    const now = performance.now();
    shelf.deaths = now - shelf.diedMs < CALM_MS ? shelf.deaths + 1 : 0;
    shelf.diedMs = now;
    // Nobody else waits for the same thing: the whole delay, no part of it by chance.
    const delayMs = backoffMs(shelf.deaths, undefined, () => 0);
    shelf.refill = setTimeout(() => {
      shelf.refill = undefined;
      this.#refill(environment);
    }, delayMs).unref();
  }

  #fork(env: readonly string[]): TaskProcess {
    const { nodeArguments, load, isolation, memoryBytes, processes, logBytes, onOutput, logger } = this.#options;
    const guard = this.#guard;
    const limits = { memoryBytes, processes };
    const variables = this.#options.variables?.() ?? {};
    const onExit = (wasReady: boolean) => this.#exited(one, env, wasReady);
    const options = { nodeArguments, load, env, variables, isolation, guard, limits, logBytes, onOutput, onExit };
    const one = new TaskProcess(options);
    this.#all.add(one);
    void one.over.then(() => this.#all.delete(one));
    one.ready.catch((error: unknown) => {
      // It is replaced when the next one is taken, not at once: it would fail again.
      const { spares } = this.#shelfOf(env);
      if (spares.includes(one)) spares.splice(spares.indexOf(one), 1);
      // Not in the error: that becomes the task's, and Node prints lines of the source with their secrets.
      const output = maskUrl(one.takeOutput() ?? '').slice(-SHOWN_CHARACTERS);
      if (!this.#isClosed) logger.error({ error, output }, 'a process for tasks could not be made ready');
      void one.kill();
    });
    return one;
  }
}
