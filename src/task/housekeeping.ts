import type { SqlExecutor } from '../database/executor.ts';
import type { Logger } from '../lifecycle/logger.ts';
import { sleep } from '../util/sleep.ts';
import { HERE_EVERY_MS } from './peers.ts';
import type { Presence } from './presence.ts';
import type { TaskRun } from './run.ts';
import { deleteExpired, freeOrphans, readCancelled, recoverLost, renewLeases } from './sql/lease.ts';
import type { WorkerOptions } from './worker-options.ts';
import type { WorkerStats } from './worker-stats.ts';

export interface HousekeepingParts {
  readonly db: SqlExecutor;
  readonly schema: string;
  readonly owner: string;
  readonly logger: Logger;
  readonly options: WorkerOptions;
  /** Those that run, by task id. */
  readonly runs: ReadonlyMap<string, TaskRun>;
  readonly stats: WorkerStats;
  readonly lookForMissed: () => Promise<void>;
  readonly presence: Presence;
}

/** The lease is renewed when a third of it has gone, and is over for us when this much is left. */
const RENEW_SHARE = 1 / 3;
const MARGIN_SHARE = 1 / 6;
const WATCHDOG_MS = 250;
const RECOVER_MS = 2_000;
const EXPIRE_MS = 60_000;

/**
 * What a worker does beside running tasks: it renews the leases of those that run, ends those whose lease it could not
 * renew before somebody else begins them, hears of cancels that were not told, and looks after the tasks of workers that
 * died.
 */
export class Housekeeping {
  readonly #parts: HousekeepingParts;
  /** When the lease of a task was last known to be renewed, on the monotonic clock. */
  readonly #renewedMs = new Map<string, number>();
  readonly #ended = new AbortController();
  #loops: readonly Promise<void>[] = [];
  #watchdog: NodeJS.Timeout | undefined;

  constructor(parts: HousekeepingParts) {
    this.#parts = parts;
  }

  start(): void {
    const { options, presence } = this.#parts;
    this.#watchdog = setInterval(() => this.#endOverdue(), Math.min(WATCHDOG_MS, options.leaseMs / 8));
    // The next one soon follows.
    void presence.announce().catch(() => undefined);
    this.#loops = [
      this.#every(options.leaseMs * RENEW_SHARE, 'renew the leases of tasks', () => this.#renew()),
      this.#every(options.pollMs, 'look for cancels and missed tasks', () => this.#look()),
      this.#every(Math.min(RECOVER_MS, options.leaseMs), 'look after tasks of lost workers', () => this.#recover()),
      this.#every(EXPIRE_MS, 'forget expired tasks', () => this.#expire()),
      this.#every(HERE_EVERY_MS, 'tell that it listens', () => presence.announce()),
    ];
  }

  async stop(): Promise<void> {
    this.#ended.abort();
    clearInterval(this.#watchdog);
    this.#parts.presence.close();
    await Promise.all(this.#loops);
  }

  /** @param sinceMs before the statement that claimed it, on the monotonic clock */
  begun(id: string, sinceMs: number): void {
    this.#renewedMs.set(id, sinceMs);
  }

  /**
   * Asks for the leases at once: a fail-over may have lost claims, and others run these tasks beside us until we know. The
   * answer is not waited for: nobody can use the new connection before this returns.
   */
  reconnected(): void {
    void this.#try('renew the leases of tasks', () => this.#renew());
  }

  /** Whether the lease may have run out: another may have begun it. */
  isOver(id: string): boolean {
    const { leaseMs } = this.#parts.options;
    return performance.now() - (this.#renewedMs.get(id) ?? 0) > leaseMs * (1 - MARGIN_SHARE);
  }

  async #every(ms: number, what: string, work: () => Promise<void>): Promise<void> {
    const { signal } = this.#ended;
    while (!signal.aborted) {
      await sleep(ms, signal);
      if (signal.aborted) return;
      await this.#try(what, work);
    }
  }

  async #try(what: string, work: () => Promise<void>): Promise<void> {
    try {
      await work();
    } catch (error) {
      if (!this.#ended.signal.aborted) this.#parts.logger.warn({ error }, `could not ${what}; trying again`);
    }
  }

  async #renew(): Promise<void> {
    const { db, schema, owner, options, runs } = this.#parts;
    for (const id of this.#renewedMs.keys()) if (!runs.has(id)) this.#renewedMs.delete(id);
    if (runs.size === 0) return;
    const before = performance.now();
    const asked = [...runs];
    const kept = await renewLeases(
      db,
      schema,
      owner,
      options.leaseMs,
      asked.map(([id]) => id),
    );
    const byId = new Map(kept.map((task) => [task.id, task]));
    for (const [id, run] of asked) {
      const lease = byId.get(id);
      if (lease?.attempt === run.task.attempt) {
        this.#renewedMs.set(id, before);
        if (lease.isCancelRequested) run.end('cancel');
      } else if (runs.get(id) === run && !run.isEnding && !run.isOver) {
        this.#parts.logger.warn({ taskId: id }, 'a task that runs here is not ours any more; ending it');
        run.end('lost');
      }
    }
  }

  /** Measured by our own clock, from before the statement that set the lease: it runs out here before it does there. */
  #endOverdue(): void {
    for (const [id, run] of this.#parts.runs) {
      if (run.isOver || !this.isOver(id)) continue;
      this.#parts.logger.error({ taskId: id }, 'the lease of a task could not be renewed in time; ending it');
      run.end('lost');
    }
  }

  async #look(): Promise<void> {
    const { db, schema, owner, runs, lookForMissed } = this.#parts;
    if (runs.size > 0) for (const id of await readCancelled(db, schema, owner)) runs.get(id)?.end('cancel');
    await lookForMissed();
  }

  async #recover(): Promise<void> {
    const { db, schema, logger, stats } = this.#parts;
    for (const { id, name, state } of await recoverLost(db, schema)) {
      stats.recovered += 1;
      logger.warn({ taskId: id, task: name, state }, 'the worker that ran a task is lost');
    }
    for (const { id, name } of await freeOrphans(db, schema)) {
      logger.warn({ taskId: id, task: name }, 'a place was held by a task that neither waits nor runs; it is free now');
    }
  }

  async #expire(): Promise<void> {
    const { db, schema } = this.#parts;
    while ((await deleteExpired(db, schema)) >= 1000 && !this.#ended.signal.aborted);
  }
}
