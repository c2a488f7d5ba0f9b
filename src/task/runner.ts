import { TaskProcessError } from '../errors.ts';
import type { Logger } from '../lifecycle/logger.ts';
import type { Telemetry } from '../telemetry/telemetry.ts';
import { backoffMs } from '../util/backoff.ts';
import { deferred } from '../util/deferred.ts';
import { sleep } from '../util/sleep.ts';
import type { Offer } from './intake.ts';
import type { Claimed, Ledger } from './ledger.ts';
import { failureOf } from './process-message.ts';
import type { ProcessPool } from './process-pool.ts';
import type { TaskRegistry } from './registry.ts';
import { type EndReason, TaskRun } from './run.ts';
import { bytesOf, type FinishedRun } from './sql/finish.ts';
import type { WorkerOptions } from './worker-options.ts';
import type { WorkerStats } from './worker-stats.ts';

export interface RunnerParts {
  readonly ledger: Ledger;
  readonly pool: ProcessPool;
  readonly registry: TaskRegistry;
  readonly options: WorkerOptions;
  readonly stats: WorkerStats;
  readonly telemetry: Telemetry;
  readonly logger: Logger;
  /** Gives what is to be taken next; undefined: nothing. */
  readonly next: () => Offer | undefined;
  /** What was offered is ours. */
  readonly onClaimed: (offer: Offer, claimed: Claimed) => void;
  /** A run has not ended for good, or not here. */
  readonly onAgain: (id: string) => void;
  /** A run has begun. @param sinceMs before its claim, on the monotonic clock */
  readonly onBegin: (id: string, sinceMs: number) => void;
  /** Whether another may have begun a task by now. */
  readonly isOver: (id: string) => boolean;
  /** Whether it is full, after each look for something to take. */
  readonly onRoom: (isFull: boolean) => void;
  /** A run of a task that queues for places has ended. */
  readonly onPlaceFree: (name: string) => void;
}

const RETRY_MS = 200;
/** Processes that die, one after the other, before they have a run: then it is what they load, and the run fails. */
const MOST_TAKEN = 5;
/** Ends that wait for the database: with more of them nothing new is begun. */
const MOST_UNWRITTEN = 100;
/** What these have to write together; those that run come on top. */
const MOST_UNWRITTEN_BYTES = 16 * 1024 * 1024;

/** Takes offers as long as it has room for them, and brings each from its claim to the end that is written. */
export class Runner {
  /** Those that run here, by task id. */
  readonly runs = new Map<string, TaskRun>();
  readonly #parts: RunnerParts;
  /** Why they are to end, when somebody said so before the claim was answered. */
  readonly #claiming = new Map<string, EndReason | undefined>();
  /** Being claimed, or running: each takes one of `concurrency`. */
  #busy = 0;
  /** Have ended, and their end is being written. */
  #writing = 0;
  #writingBytes = 0;
  readonly #quiet = deferred();
  #isDraining = false;

  constructor(parts: RunnerParts) {
    this.#parts = parts;
  }

  /** How many more it would take. */
  get room(): number {
    const { pool, options } = this.#parts;
    if (this.#isDraining || this.#writingBytes >= MOST_UNWRITTEN_BYTES) return 0;
    const { concurrency } = options;
    const free = Math.min(concurrency - this.#busy, concurrency + MOST_UNWRITTEN - this.#busy - this.#writing);
    return Math.max(0, Math.min(free, pool.capacity - this.#claiming.size));
  }

  /** Takes offers until it is full, or there is none. */
  fill(): void {
    while (this.room > 0) {
      const offer = this.#parts.next();
      if (!offer) break;
      this.#busy += 1;
      this.#take(offer)
        .catch((error: unknown) => this.#parts.logger.error({ error, taskId: offer.id }, 'a task could not be run'))
        .finally(() => this.#free());
    }
    this.#parts.onRoom(this.room === 0);
  }

  #free(): void {
    this.#busy -= 1;
    this.#rest();
    this.fill();
  }

  #rest(): void {
    if (this.#isDraining && this.#busy + this.#writing === 0) this.#quiet.resolve();
  }

  /** Also of one whose claim has not been answered yet. */
  end(id: string, reason: EndReason): void {
    if (this.#claiming.has(id)) this.#claiming.set(id, reason);
    this.runs.get(id)?.end(reason);
  }

  /** Takes no more; resolves when nothing runs. What still runs after `patienceMs` is ended and given back. */
  async drain(patienceMs: number): Promise<void> {
    this.#isDraining = true;
    this.#parts.onRoom(true);
    this.#rest();
    const isQuiet = this.#quiet.promise.then(() => true);
    const given = new AbortController();
    const isLate = sleep(patienceMs, given.signal).then(() => false);
    if (!(await Promise.race([isQuiet, isLate]))) {
      const { logger } = this.#parts;
      logger.warn({ running: this.runs.size }, 'tasks run still: ending them, others begin them anew');
      for (const run of this.runs.values()) run.end('stop');
      await this.#quiet.promise;
    }
    given.abort();
  }

  /** A message is acked when the row says whose task it is: until then it would come again. */
  async #take(offer: Offer): Promise<void> {
    const { id, delivery } = offer;
    let claimed: Claimed | undefined;
    this.#claiming.set(id, undefined);
    try {
      claimed = await this.#parts.ledger.claim(id);
    } catch (error) {
      this.#claiming.delete(id);
      this.#parts.logger.warn({ error, taskId: id }, 'a task could not be claimed; its message is given back');
      await sleep(RETRY_MS);
      delivery?.release();
      return;
    }
    delivery?.ack();
    const early = this.#claiming.get(id);
    this.#claiming.delete(id);
    if (!claimed) this.#parts.stats.passed += 1;
    else {
      this.#parts.onClaimed(offer, claimed);
      await this.#run(claimed, early);
    }
  }

  async #run({ task, sinceMs }: Claimed, early: EndReason | undefined): Promise<void> {
    const { registry, options, ledger, stats, telemetry, onBegin, onAgain } = this.#parts;
    onBegin(task.id, sinceMs);
    const before = this.runs.get(task.id);
    // A fail-over has lost the claim of one that has ended: its end is being written, and the row takes it for this claim.
    if (before?.hasEnd && before.task.attempt === task.attempt) return;
    const { definition } = registry.get(task.name);
    const progress = ledger.progressOf(task);
    const run = new TaskRun({ task, definition, options, onProgress: progress.report });
    this.runs.set(task.id, run);
    stats.started += 1;
    if (early ?? this.#isDraining) run.end(early ?? 'stop');
    const finished = await telemetry.running(
      task,
      async (traceparent) => {
        // With nothing to wait for it takes its process in the turn in which its claim is answered: `room` counts on that.
        if (before && !before.hasEnd) await this.#supersede(before);
        return this.#inProcess(run, traceparent);
      },
      (end) => end?.state,
    );
    if (finished?.retryMs !== null) onAgain(task.id);
    const bytes = finished ? bytesOf(finished) : 0;
    this.#writing += 1;
    this.#writingBytes += bytes;
    // The next one begins while this one's end is written.
    const end = progress.written().then(() => this.#end(run, finished));
    void end.finally(() => {
      this.#writing -= 1;
      this.#writingBytes -= bytes;
      this.#rest();
      this.fill();
    });
  }

  /**
   * Ends a run whose task this worker has claimed again: a fail-over lost its claim, or its lease is over by the database's
   * clock. Resolves when its processes have gone.
   */
  async #supersede(run: TaskRun): Promise<void> {
    const { logger } = this.#parts;
    logger.warn(
      { taskId: run.task.id },
      'a task that runs here was claimed again; its first run ends before the second begins',
    );
    run.end('lost');
    await run.settled.promise;
  }

  async #end(run: TaskRun, finished: FinishedRun | undefined): Promise<void> {
    const { task, definition } = run;
    if (finished) await this.#write(finished);
    else this.#parts.stats.lost += 1;
    if (this.runs.get(task.id) === run) this.runs.delete(task.id);
    run.settled.resolve();
    if (definition.maxConcurrency > 0 && definition.onFull === 'queue') this.#parts.onPlaceFree(definition.name);
  }

  async #inProcess(run: TaskRun, traceparent: string | undefined): Promise<FinishedRun | undefined> {
    const { pool, logger } = this.#parts;
    const { task, definition, ended } = run;
    const { env } = definition;
    try {
      for (let taken = 1; ; taken++) {
        const process = await pool.take(env, ended);
        const finished = await run.run(process, traceparent);
        pool.give(process, env);
        if (finished !== 'unbegun') return finished;
        const { pid, ending } = process;
        logger.warn({ taskId: task.id, pid, ending }, 'a process died before it had the task; it gets another');
        if (taken === MOST_TAKEN) {
          const message = `${taken} processes, one after the other, ended before they had it; the last one ${ending}`;
          return run.failed({ name: 'TaskProcessError', code: 'PROCESS_DIED', message });
        }
        await sleep(backoffMs(taken - 1), ended);
      }
    } catch (error) {
      // Nothing of the task has to do with it: packages that a deploy took away, a machine that has no room for processes.
      if (!(error instanceof TaskProcessError)) return run.failed(failureOf(error));
      logger.warn({ error, taskId: task.id }, 'no process for a task could be made ready; it is given back');
      return run.givenBack();
    }
  }

  /** As often as it takes while the task is ours: what is not written is run again by another. */
  async #write(finished: FinishedRun): Promise<void> {
    const { ledger, stats, logger, isOver } = this.#parts;
    const { id: taskId, attempt } = finished;
    for (;;) {
      try {
        if (await ledger.finish(finished)) stats.finished += 1;
        else {
          stats.lost += 1;
          logger.warn({ taskId, attempt }, 'a run ended when it was not ours any more; nothing of it was written');
        }
        return;
      } catch (error) {
        logger.warn({ error, taskId }, 'the end of a task could not be written; trying again');
        await sleep(RETRY_MS);
        if (!isOver(taskId)) continue;
        stats.lost += 1;
        return;
      }
    }
  }
}
