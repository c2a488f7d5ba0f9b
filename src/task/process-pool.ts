import type { Logger } from '../lifecycle/logger.ts';
import { Lifecycle, type Service, type ServiceState } from '../lifecycle/service.ts';
import { aborted } from '../util/aborted.ts';
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

/** Processes for tasks, forked ahead of need: a task does not wait for Node to start and files to load. */
export class ProcessPool implements Service {
  readonly name = 'task processes';
  readonly #options: ProcessPoolOptions;
  readonly #lifecycle: Lifecycle;
  /** By the environment that they were started with; those that are ready first. */
  readonly #spares = new Map<string, TaskProcess[]>();
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
   * A process that is ready.
   * @param signal ends the wait, and the process with it
   * @throws TaskProcessError (SVC_COMM_TASK_PROCESS); the signal's reason
   */
  async take(environment: readonly string[], signal: AbortSignal): Promise<TaskProcess> {
    const spares = this.#sparesOf(environment);
    const readyAt = spares.findIndex((one) => one.isReady);
    const [taken] = spares.splice(Math.max(readyAt, 0), 1);
    const one = taken ?? this.#fork(environment);
    this.#refill(environment);
    await Promise.race([one.ready, aborted(signal)]);
    if (one.isReady || !signal.aborted) return one;
    await one.kill();
    throw signal.reason;
  }

  /** Takes a process back after its run. */
  give(one: TaskProcess, environment: readonly string[]): void {
    const { reuse, memoryBytes, spare } = this.#options;
    const spares = this.#sparesOf(environment);
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
    this.#sparesOf(first).push(one);
    await Promise.race([one.ready, aborted(signal)]);
    if (signal.aborted) return;
    for (const environment of [first, ...others]) this.#refill(environment);
  }

  async #stop(): Promise<void> {
    this.#isClosed = true;
    this.#spares.clear();
    await Promise.all([...this.#all].map((one) => one.kill()));
    this.#guard?.close();
    this.#guard = undefined;
  }

  #refill(environment: readonly string[]): void {
    const spares = this.#sparesOf(environment);
    while (!this.#isClosed && spares.length < this.#options.spare) spares.push(this.#fork(environment));
  }

  #sparesOf(environment: readonly string[]): TaskProcess[] {
    const key = environment.join(' ');
    const spares = this.#spares.get(key) ?? [];
    this.#spares.set(key, spares);
    return spares;
  }

  #fork(env: readonly string[]): TaskProcess {
    const { nodeArguments, load, isolation, memoryBytes, processes, logBytes, onOutput, logger } = this.#options;
    const guard = this.#guard;
    const limits = { memoryBytes, processes };
    const variables = this.#options.variables?.() ?? {};
    const options = { nodeArguments, load, env, variables, isolation, guard, limits, logBytes, onOutput };
    const one = new TaskProcess(options);
    this.#all.add(one);
    void one.over.then(() => this.#all.delete(one));
    one.ready.catch((error: unknown) => {
      // It is replaced when the next one is taken, not at once: it would fail again.
      const spares = this.#sparesOf(env);
      if (spares.includes(one)) spares.splice(spares.indexOf(one), 1);
      if (!this.#isClosed) logger.error({ error }, 'a process for tasks could not be made ready');
      void one.kill();
    });
    return one;
  }
}
