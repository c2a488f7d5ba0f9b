import { v7 as uuidv7 } from 'uuid';
import type { DatabaseConnection } from '../database/connection.ts';
import { DatabaseLink } from '../database/link.ts';
import type { Logger } from '../lifecycle/logger.ts';
import { Lifecycle, type Service, type ServiceState } from '../lifecycle/service.ts';
import type { Delivery, Subscriber, Subscription } from '../message/subscriber.ts';
import type { Topology, TopologySpec } from '../message/topology.ts';
import { Batcher } from '../util/batcher.ts';
import { deferred } from '../util/deferred.ts';
import { sleep } from '../util/sleep.ts';
import { Housekeeping } from './housekeeping.ts';
import { type Isolation, measureIsolation } from './isolation.ts';
import { failureOf } from './process-message.ts';
import { ProcessPool } from './process-pool.ts';
import type { TaskRegistry } from './registry.ts';
import { TaskRun } from './run.ts';
import { type ClaimedTask, claimTasks, findClaimable } from './sql/claim.ts';
import { type FinishedRun, finishTasks, saveProgress } from './sql/finish.ts';
import { makeSlots } from './sql/submit.ts';
import { TaskWatch } from './watch.ts';
import type { WorkerOptions } from './worker-options.ts';

export interface WorkerParts {
  readonly registry: TaskRegistry;
  /** Opens connections of its own: one for statements, one to listen. */
  readonly connect: (name: string) => Promise<DatabaseConnection>;
  readonly subscriber: Subscriber;
  readonly topology: Topology;
  /** Of the queue that tasks come by. */
  readonly topologySpec: TopologySpec;
  readonly schema: string;
  readonly logger: Logger;
  readonly wait: boolean;
  readonly listen: boolean;
  readonly options: WorkerOptions;
  /** See `TaskProcessOptions`. */
  readonly nodeArguments: readonly string[];
  readonly load: { readonly root: string; readonly files: readonly string[] };
  /** Gets what the tasks print. @default nothing */
  readonly onOutput?: (chunk: Buffer) => void;
  /** @default measured */
  readonly isolation?: Isolation;
}

/** Since the start of the process. */
export interface WorkerStats {
  /** Tasks running now. */
  running: number;
  /** Tasks that this worker began. */
  started: number;
  /** Messages of tasks that were not to be run: they had ended, begun elsewhere, or found no place. */
  passed: number;
  /** Runs whose end was written. */
  finished: number;
  /** Runs that were not ours any more when they ended, or whose lease could not be renewed. */
  lost: number;
  /** Tasks of dead workers that this one handed over or ended. */
  recovered: number;
}

/** Something to claim: a message from the queue, or a row that was found. */
interface Offer {
  readonly id: string;
  readonly delivery: Delivery | undefined;
}

/** A message that waits here while other workers may be idle is given back after so long. */
const HOLD_MS = 1_000;
/** A task that has waited for so long with nothing to do here: its message is lost, or nobody publishes. */
const MISSED_MS = 3_000;
const MOST_IN_A_BATCH = 100;
const RETRY_MS = 200;
const UUID = /^[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}$/i;

/**
 * Takes tasks from the queue, runs each in a process, and writes how it ended.
 *
 * A message only says that there may be something to do; the row decides. If this process dies: before the claim the
 * message comes again; after it the lease runs out and the task is handed over; a result that was not written is lost
 * with the run, and the run is repeated. Its tasks' processes end with it.
 */
export class Worker implements Service {
  readonly name = 'task worker';
  readonly #parts: WorkerParts;
  readonly #lifecycle: Lifecycle;
  readonly #owner = uuidv7();
  readonly #stats: WorkerStats = { running: 0, started: 0, passed: 0, finished: 0, lost: 0, recovered: 0 };
  readonly #runs = new Map<string, TaskRun>();
  #offers: Offer[] = [];
  /** Claimed or being claimed, running, or being written: each takes one of `concurrency`. */
  #busy = 0;
  #isDraining = true;
  #quiet = deferred();
  #db: DatabaseLink | undefined;
  #watch: TaskWatch | undefined;
  #pool: ProcessPool | undefined;
  #subscription: Subscription | undefined;
  #housekeeping: Housekeeping | undefined;
  #isolation: Isolation | undefined;
  readonly #claims = new Batcher<string, ClaimedTask | undefined>((ids) => this.#claim(ids), MOST_IN_A_BATCH);
  readonly #ends = new Batcher<FinishedRun, boolean>((runs) => this.#finish(runs), MOST_IN_A_BATCH);

  constructor(parts: WorkerParts) {
    this.#parts = parts;
    this.#lifecycle = new Lifecycle(this.name, { start: (signal) => this.#start(signal), stop: () => this.#stop() });
  }

  get state(): ServiceState {
    return this.#lifecycle.state;
  }
  get stats(): Readonly<WorkerStats> {
    return { ...this.#stats, running: this.#runs.size };
  }
  /** How surely its tasks' processes end; undefined before it was started. */
  get isolation(): Isolation | undefined {
    return this.#isolation;
  }
  /** Whether the broker delivers to it at the moment. */
  get isReady(): boolean {
    return this.state === 'running' && this.#subscription?.isConsuming === true;
  }

  /**
   * Resolves when it takes tasks, with a first process ready.
   * @throws TaskProcessError, TopologyMismatchError, MigrationRequiredError
   */
  start(): Promise<void> {
    return this.#lifecycle.start();
  }

  /** Takes no more, waits for what runs, ends the rest and gives it back for others to begin anew. */
  stop(): Promise<void> {
    return this.#lifecycle.stop();
  }

  async #start(signal: AbortSignal): Promise<void> {
    const { connect, schema, logger, wait, listen, options, topology, topologySpec, registry } = this.#parts;
    this.#quiet = deferred();
    this.#db = new DatabaseLink({ name: 'worker', connect: () => connect('worker'), logger });
    await this.#db.open(signal, wait);
    for (const { name, maxConcurrency } of registry.definitions) {
      await makeSlots(this.#db, schema, name, maxConcurrency);
    }
    const db = this.#db;
    this.#watch = new TaskWatch({
      connect: () => connect('worker listen'),
      db,
      schema,
      logger,
      pollMs: options.pollMs,
      listen,
    });
    this.#watch.watchAll((notice) => {
      if (notice.kind === 'cancel') this.#runs.get(notice.id)?.end('cancel');
    });
    await this.#watch.open(signal);
    await this.#startPool();
    this.#housekeeping = new Housekeeping({
      db,
      schema,
      owner: this.#owner,
      logger,
      options,
      runs: this.#runs,
      stats: this.#stats,
      lookForWork: () => this.#lookForWork(MISSED_MS),
    });
    this.#housekeeping.start();
    this.#isDraining = false;
    await Promise.race([topology.ensure(topologySpec), aborted(signal)]);
    if (!signal.aborted) await this.#subscribe(signal);
  }

  async #startPool(): Promise<void> {
    const { options, logger, nodeArguments, load, registry, onOutput = () => undefined } = this.#parts;
    const isolation = this.#parts.isolation ?? (await measureIsolation());
    this.#isolation = isolation;
    const { spare, reuse, memoryBytes, logBytes } = options;
    const lists = new Map(registry.definitions.map(({ env }) => [env.join(' '), env]));
    this.#pool = new ProcessPool({
      nodeArguments,
      load,
      isolation,
      spare,
      reuse,
      memoryBytes,
      logBytes,
      onOutput,
      logger,
      environments: [...lists.values()],
    });
    await this.#pool.start();
    const { level, why } = isolation;
    if (level === 'namespace')
      logger.info({ isolation: level }, 'each task has a process and a PID namespace of its own');
    else {
      logger.warn(
        { isolation: level, why },
        'each task has a process group of its own, but no PID namespace: a process that it moves to another session ' +
          '(setsid) outlives it; see docs/tasks.md',
      );
    }
  }

  async #subscribe(signal: AbortSignal): Promise<void> {
    const { subscriber, topologySpec, options } = this.#parts;
    // Two at least: while one is claimed the next is on its way.
    const prefetch = Math.min(Math.max(options.concurrency, 2), 1000);
    const subscription = subscriber.subscribe({
      queue: topologySpec.queue.name,
      prefetch,
      onDelivery: (delivery) => this.#receive(delivery),
    });
    this.#subscription = subscription;
    const giveUp = () => void subscription.stop();
    signal.addEventListener('abort', giveUp, { once: true });
    try {
      await subscription.start();
    } finally {
      signal.removeEventListener('abort', giveUp);
    }
  }

  async #stop(): Promise<void> {
    const { options, logger } = this.#parts;
    this.#isDraining = true;
    await this.#subscription?.pause();
    for (const { delivery } of this.#offers.splice(0)) delivery?.release();
    if (this.#busy === 0) this.#quiet.resolve();
    // What then still runs has its grace time within the whole.
    const patienceMs = Math.max(0, options.drainMs - options.graceMs);
    const isQuiet = this.#quiet.promise.then(() => true);
    if (!(await Promise.race([isQuiet, sleep(patienceMs).then(() => false)]))) {
      logger.warn({ running: this.#runs.size }, 'tasks run still: ending them, others begin them anew');
      for (const run of this.#runs.values()) run.end('stop');
      await this.#quiet.promise;
    }
    await this.#housekeeping?.stop();
    await this.#pool?.stop();
    await this.#subscription?.stop();
    await this.#watch?.close();
    await this.#db?.close();
    this.#subscription = undefined;
  }

  // -- what is offered

  #receive(delivery: Delivery): void {
    const id = taskIdOf(delivery.body);
    if (id === undefined) {
      this.#parts.logger.error({ queue: delivery.queue, bytes: delivery.body.length }, 'no message of a task; dropped');
      delivery.ack();
      return;
    }
    if (this.#isDraining) {
      delivery.release();
      return;
    }
    const offer = { id, delivery };
    this.#offers.push(offer);
    this.#next();
    if (this.#offers.includes(offer)) setTimeout(() => this.#giveBack(offer), HOLD_MS);
  }

  /** Others may be idle; and a message that is held for half an hour costs the channel. */
  #giveBack(offer: Offer): void {
    const index = this.#offers.indexOf(offer);
    if (index < 0) return;
    this.#offers.splice(index, 1);
    offer.delivery?.release();
  }

  #next(): void {
    while (!this.#isDraining && this.#busy < this.#parts.options.concurrency) {
      const offer = this.#offers.shift();
      if (!offer) return;
      this.#busy += 1;
      this.#take(offer)
        .catch((error: unknown) => this.#parts.logger.error({ error, taskId: offer.id }, 'a task could not be run'))
        .finally(() => {
          this.#busy -= 1;
          if (this.#isDraining && this.#busy === 0) this.#quiet.resolve();
          this.#next();
        });
    }
  }

  /** Tasks that nobody told us of. */
  async #lookForWork(waitedMs: number, name?: string): Promise<void> {
    const free = this.#parts.options.concurrency - this.#busy;
    if (this.#isDraining || free <= 0 || this.#offers.length > 0) return;
    const { schema, registry } = this.#parts;
    const definitions = registry.definitions.filter((one) => name === undefined || one.name === name);
    const ids = await findClaimable({ db: this.#executor, schema, definitions }, waitedMs, free);
    for (const id of ids) if (!this.#runs.has(id)) this.#offers.push({ id, delivery: undefined });
    this.#next();
  }

  // -- a task

  async #take({ id, delivery }: Offer): Promise<void> {
    let task: ClaimedTask | undefined;
    const sinceMs = performance.now();
    try {
      task = await this.#claims.add(id);
    } catch (error) {
      this.#parts.logger.warn({ error, taskId: id }, 'a task could not be claimed; its message is given back');
      await sleep(RETRY_MS);
      delivery?.release();
      return;
    }
    delivery?.ack();
    if (task) await this.#run(task, sinceMs);
    else this.#stats.passed += 1;
  }

  async #run(task: ClaimedTask, sinceMs: number): Promise<void> {
    const { registry, options, logger } = this.#parts;
    const { definition } = registry.get(task.name);
    const progress = new Batcher<[number, string | undefined], void>((reports) => this.#progress(task, reports), 1000);
    const run = new TaskRun({
      task,
      definition,
      options,
      logger,
      onProgress: (fraction, note) => void progress.add([fraction, note]).catch(() => undefined),
    });
    this.#runs.set(task.id, run);
    this.#housekeeping?.begun(task.id, sinceMs);
    this.#stats.started += 1;
    const finished = await this.#inProcess(run);
    if (finished) await this.#write(run, finished);
    else this.#stats.lost += 1;
    if (this.#runs.get(task.id) === run) this.#runs.delete(task.id);
    if (definition.maxConcurrency > 0 && definition.onFull === 'queue') this.#lookForMore(definition.name);
  }

  async #inProcess(run: TaskRun): Promise<FinishedRun | undefined> {
    const { env } = run.definition;
    const pool = this.#pool;
    if (!pool) return undefined;
    try {
      const taken = await pool.take(env);
      const finished = await run.run(taken);
      pool.give(taken, env);
      return finished;
    } catch (error) {
      return run.failed(failureOf(error));
    }
  }

  /** As often as it takes, as long as the task is ours: until the lease is over the answer is worth waiting for. */
  async #write(run: TaskRun, finished: FinishedRun): Promise<void> {
    const { logger } = this.#parts;
    for (;;) {
      try {
        if (await this.#ends.add(finished)) this.#stats.finished += 1;
        else {
          this.#stats.lost += 1;
          logger.warn({ taskId: finished.id, attempt: finished.attempt }, 'a run ended when it was not ours any more');
        }
        return;
      } catch (error) {
        logger.warn({ error, taskId: finished.id }, 'the end of a task could not be written; trying again');
        await sleep(RETRY_MS);
        if (this.#housekeeping?.isOver(run.task.id)) {
          this.#stats.lost += 1;
          return;
        }
      }
    }
  }

  #lookForMore(name: string): void {
    setImmediate(() => {
      this.#lookForWork(0, name).catch((error: unknown) => {
        this.#parts.logger.warn({ error, task: name }, 'could not look for tasks that wait for a place');
      });
    });
  }

  // -- statements

  get #executor(): DatabaseLink {
    if (!this.#db) throw new Error('the worker has no database connection');
    return this.#db;
  }

  async #claim(ids: readonly string[]): Promise<(ClaimedTask | undefined)[]> {
    const { schema, registry, options } = this.#parts;
    const claim = { db: this.#executor, schema, owner: this.#owner, leaseMs: options.leaseMs };
    const claimed = await claimTasks({ ...claim, definitions: registry.definitions }, [...new Set(ids)]);
    const byId = new Map(claimed.map((task) => [task.id, task]));
    // The same id twice in a batch is two messages of one task: the first gets it.
    return ids.map((id) => {
      const task = byId.get(id.toLowerCase());
      byId.delete(id.toLowerCase());
      return task;
    });
  }

  async #finish(runs: readonly FinishedRun[]): Promise<boolean[]> {
    const ended = await finishTasks(this.#executor, this.#parts.schema, runs);
    return runs.map(({ id }) => ended.has(id));
  }

  async #progress(task: ClaimedTask, reports: readonly [number, string | undefined][]): Promise<undefined[]> {
    const [fraction, note] = reports.at(-1) ?? [0, undefined];
    await saveProgress(this.#executor, this.#parts.schema, { id: task.id, attempt: task.attempt, fraction, note });
    return [];
  }
}

function taskIdOf(body: Buffer): string | undefined {
  if (body.length > 1000) return undefined;
  try {
    const message: unknown = JSON.parse(body.toString('utf8'));
    const id = typeof message === 'object' && message !== null && 'taskId' in message ? message.taskId : undefined;
    return typeof id === 'string' && UUID.test(id) ? id.toLowerCase() : undefined;
  } catch {
    return undefined;
  }
}

const aborted = (signal: AbortSignal): Promise<void> =>
  new Promise((resolve) => {
    if (signal.aborted) resolve();
    signal.addEventListener('abort', () => resolve(), { once: true });
  });
