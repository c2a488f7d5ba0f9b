import type { DatabaseConnection } from '../database/connection.ts';
import { ALL_RIGHTS, assertTableRights, type NeededRights } from '../database/table-rights.ts';
import type { Logger } from '../lifecycle/logger.ts';
import { Lifecycle, type Service, type ServiceState } from '../lifecycle/service.ts';
import type { Subscriber, Subscription } from '../message/subscriber.ts';
import type { Topology, TopologySpec } from '../message/topology.ts';
import type { Telemetry } from '../telemetry/telemetry.ts';
import { aborted } from '../util/aborted.ts';
import type { Waits } from '../util/waits.ts';
import type { Intake } from './intake.ts';
import { type Isolation, measureIsolation } from './isolation.ts';
import type { ProcessPoolOptions } from './process-pool.ts';
import type { TaskRegistry } from './registry.ts';
import { makeSlots } from './sql/submit.ts';
import type { WorkerOptions } from './worker-options.ts';
import { emptyWorkerStats, type WorkerStats } from './worker-stats.ts';
import { assembleWorkings, type Workings } from './workings.ts';

/** Without them tasks that row level security hides would wait for ever, with a worker there that has nothing to do. */
const NEEDED: NeededRights = Object.freeze({
  svc_comm_task: ['SELECT', 'UPDATE', 'DELETE'],
  svc_comm_task_slot: ['SELECT', 'INSERT', 'UPDATE'],
  svc_comm_outbox: ALL_RIGHTS,
  svc_comm_future: ['INSERT'],
});

export interface WorkerParts {
  readonly registry: TaskRegistry;
  /** Opens connections of its own: for claims, for ends, and one to listen. @param settings see `connectDatabase` */
  readonly connect: (name: string, settings?: Readonly<Record<string, string>>) => Promise<DatabaseConnection>;
  readonly subscriber: Subscriber;
  readonly topology: Topology;
  /** Of the queue that tasks come by. */
  readonly topologySpec: TopologySpec;
  readonly schema: string;
  /** @default spans for the OpenTelemetry of the process */
  readonly telemetry?: Telemetry;
  readonly logger: Logger;
  /** Whether `start` waits for a database that is down. */
  readonly wait: Waits;
  /** Whether LISTEN is tried; polling goes on in any case. */
  readonly listen: boolean;
  readonly options: WorkerOptions;
  /** See `TaskProcessOptions`. */
  readonly nodeArguments: readonly string[];
  /** See `ProcessPoolOptions`. */
  readonly variables?: ProcessPoolOptions['variables'];
  readonly load: { readonly root: string; readonly files: readonly string[] };
  /** Gets what the tasks print. @default nothing */
  readonly onOutput?: (chunk: Buffer) => void;
  /** @default measured */
  readonly isolation?: Isolation;
}

/** After the drain and the grace time. */
const GIVE_UP_MS = 1_000;
const MOST_PREFETCH = 1_000;

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
  readonly #stats = emptyWorkerStats();
  #isolation: Isolation | undefined;
  #workings: Workings | undefined;
  #subscription: Subscription | undefined;

  constructor(parts: WorkerParts) {
    this.#parts = parts;
    this.#lifecycle = new Lifecycle(this.name, { start: (signal) => this.#start(signal), stop: () => this.#stop() });
  }

  get state(): ServiceState {
    return this.#lifecycle.state;
  }
  get stats(): Readonly<WorkerStats> {
    return { ...this.#stats, running: this.#workings?.runner.runs.size ?? 0 };
  }
  /** How surely its tasks' processes end; undefined before it was started. */
  get isolation(): Isolation | undefined {
    return this.#isolation;
  }
  /** Whether the broker delivers to it at the moment, and processes for all of its tasks can be made. */
  get isReady(): boolean {
    const isConsuming = this.#subscription?.isConsuming === true;
    return this.state === 'running' && isConsuming && this.#workings?.pool.isWhole === true;
  }

  /**
   * Resolves when it takes tasks, with a first process ready.
   * @throws TaskProcessError, TopologyMismatchError, MigrationRequiredError, DatabaseRightsError
   */
  start(): Promise<void> {
    return this.#lifecycle.start();
  }

  /** Takes no more, waits for what runs, ends the rest and gives it back for others to begin anew. */
  stop(): Promise<void> {
    return this.#lifecycle.stop();
  }

  async #start(signal: AbortSignal): Promise<void> {
    const { schema, wait, topology, topologySpec, registry } = this.#parts;
    this.#isolation = this.#parts.isolation ?? (await measureIsolation());
    const workings = assembleWorkings(this.#parts, this.#isolation, this.#stats);
    this.#workings = workings;
    const { db, ends, watch, pool, housekeeping, intake } = workings;
    await db.open(signal, wait);
    await ends.open(signal, wait);
    await assertTableRights(db, schema, NEEDED);
    for (const { name, maxConcurrency } of registry.definitions) await makeSlots(db, schema, name, maxConcurrency);
    await watch.open(signal);
    // Loading the task files is the project's code, which may wait for ever.
    await Promise.race([pool.start(), aborted(signal)]);
    if (signal.aborted) return;
    this.#tellIsolation(this.#isolation);
    await Promise.race([topology.ensure(topologySpec), aborted(signal)]);
    if (signal.aborted) return;
    housekeeping.start();
    intake.open();
    await this.#subscribe(intake, signal);
  }

  async #subscribe(intake: Intake, signal: AbortSignal): Promise<void> {
    const { subscriber, topologySpec, options } = this.#parts;
    // Two at least: while one is claimed the next is on its way.
    const prefetch = Math.min(Math.max(options.concurrency, 2), MOST_PREFETCH);
    const subscription = subscriber.subscribe({
      queue: topologySpec.queue.name,
      prefetch,
      onDelivery: (delivery) => intake.receive(delivery),
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
    const workings = this.#workings;
    if (!workings) return;
    const { intake, runner, housekeeping, pool, watch, db, ends } = workings;
    const { drainMs, graceMs } = this.#parts.options;
    await this.#subscription?.pause();
    intake.close();
    // A database that is down is not waited for: what cannot be written is run again by others.
    const giveUp = setTimeout(() => void Promise.all([db.close(), ends.close()]), drainMs + GIVE_UP_MS);
    // What then still runs has its grace time within the whole.
    await runner.drain(Math.max(0, drainMs - graceMs));
    clearTimeout(giveUp);
    // Before what it proves by that it hears.
    await watch.close();
    await Promise.all([housekeeping.stop(), db.close(), ends.close()]);
    await pool.stop();
    await this.#subscription?.stop();
    this.#subscription = undefined;
    this.#workings = undefined;
  }

  #tellIsolation({ level, why }: Isolation): void {
    const { logger } = this.#parts;
    if (level === 'namespace') {
      logger.info({ isolation: level }, 'each task has a process and a PID namespace of its own');
      return;
    }
    logger.warn(
      { isolation: level, why },
      'each task has a process group of its own, but no PID namespace: a process that it moves to another session ' +
        '(setsid) outlives it; see docs/tasks.md',
    );
  }
}
