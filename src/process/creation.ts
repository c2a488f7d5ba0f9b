import { isConflict } from '../database/database-error.ts';
import type { SqlExecutor } from '../database/executor.ts';
import type { DatabaseLink } from '../database/link.ts';
import type { Transactions } from '../database/transactions.ts';
import { CommitAbortedError, CommitUnknownError, DatabaseBusyError, DatabaseUnavailableError } from '../errors.ts';
import { BoundLogger } from '../lifecycle/bound-logger.ts';
import type { Logger } from '../lifecycle/logger.ts';
import type { TaskFailure } from '../task/state.ts';
import type { Tasks } from '../task/tasks.ts';
import type { WorkEnd } from '../telemetry/process-span.ts';
import type { Telemetry } from '../telemetry/telemetry.ts';
import { sleep } from '../util/sleep.ts';
import type { AsyncBoundStep, ProcessDefinition } from './definition.ts';
import type { EndReason, InstanceLeases, RunningInstance } from './leases.ts';
import type { RequestSnapshot } from './request.ts';
import { frozen, runStep, type StepEnd } from './run-step.ts';
import { advanceInstance, type EndedStep } from './sql/advance.ts';
import { adoptTasks, type Settled, settleInstance } from './sql/settle.ts';

export interface CreationParts {
  readonly db: DatabaseLink;
  readonly schema: string;
  readonly transactions: Transactions;
  readonly tasks: Tasks;
  readonly leases: InstanceLeases;
  readonly logger: Logger;
  readonly telemetry: Telemetry;
}

/** What was written with the instance. */
export interface Created {
  readonly definition: ProcessDefinition;
  readonly snapshot: RequestSnapshot<unknown>;
  readonly raw: unknown;
  /** Of each asynchronous step. */
  readonly taskIds: readonly string[];
  readonly times: readonly (Date | null)[];
}

const RETRY_MS = 200;

/**
 * Works through an instance that was just written:
 *
 *   New, first step STARTED ─▶ its end and the start of the next, in one statement … ─▶ its end, Running, and the
 *   asynchronous tasks, in one transaction
 *
 * Killed before a line below is done, the lease runs out, and whoever sees it ends the instance: the step that is
 * STARTED is LOST (it may have been done), the others are SKIPPED, and nothing is submitted. Killed after the last one
 * everything is with the workers.
 */
export class Creation {
  readonly #parts: CreationParts;
  readonly #created: Created;
  readonly #running: RunningInstance;
  readonly #results: Record<string, unknown> = {};
  /** The step that was done last. */
  #ended: EndedStep | undefined;

  constructor(parts: CreationParts, created: Created, running: RunningInstance) {
    this.#parts = parts;
    this.#created = created;
    this.#running = running;
  }

  /**
   * Resolves when it is with the workers, or has ended. What was not foreseen ends it as Failed before it is thrown: else
   * it would be New until its lease runs out.
   */
  async run(): Promise<void> {
    try {
      await this.#run();
    } catch (error) {
      if (this.#running.isOurs() && !isPassing(error)) await this.#giveUp();
      throw error;
    }
  }

  async #run(): Promise<void> {
    const { tasksSync } = this.#created.definition;
    for (const [position, bound] of tasksSync.entries()) {
      const advanced = await this.#written((db, lease) =>
        advanceInstance(db, this.#parts.schema, lease, { ended: this.#ended, starting: position }),
      );
      if (advanced === 'lost') return;
      if (advanced === 'cancelled') return this.#settle('Cancelled');
      const end = await this.#runStep(bound);
      if (end.kind === 'aborted') return this.#aborted(position);
      this.#ended = endedStep(position, end);
      if (end.kind !== 'done') {
        this.#logFailure(bound.name, end.error);
        return this.#settle('Failed', this.#ended);
      }
      // What one step does to it the next must not see, nor the tasks that are submitted with it.
      this.#results[bound.name] = frozen(end.value);
    }
    await this.#handOver(this.#ended);
  }

  /** What was not begun is skipped; of a step that has been it is not written what became of it. */
  async #giveUp(): Promise<void> {
    try {
      await this.#settle('Failed', this.#ended);
    } catch (error) {
      const { instanceId } = this.#created.snapshot;
      this.#parts.logger.warn({ error, instanceId }, 'a process instance could not be ended; its lease will end it');
    }
  }

  #runStep(bound: ProcessDefinition['tasksSync'][number]): Promise<StepEnd> {
    const { snapshot, raw, definition } = this.#created;
    const { logger, telemetry } = this.#parts;
    const { id: process } = definition;
    const { instanceId } = snapshot;
    const run = () =>
      runStep(bound, {
        snapshot,
        context: {
          logger: new BoundLogger(logger, { process, instanceId, task: bound.name }),
          results: Object.freeze({ ...this.#results }),
        },
        more: { raw },
        until: this.#running.until,
      });
    return telemetry.processing({ process, instanceId, step: bound.name }, run, (end) => this.#toldEnd(end));
  }

  #toldEnd(end: StepEnd): WorkEnd {
    switch (end.kind) {
      case 'done':
        return { state: 'SUCCESS' };
      case 'failed':
        return { state: 'FAILURE', failure: end.error };
      case 'timeout':
        return { state: 'TIMEOUT', failure: end.error };
      case 'aborted':
        return { state: this.#running.until.reason === 'cancel' ? 'REVOKED' : 'LOST' };
      default:
        return end satisfies never;
    }
  }

  async #aborted(position: number): Promise<void> {
    const reason: EndReason = this.#running.until.reason;
    const base = { position, result: null };
    if (reason === 'cancel') await this.#settle('Cancelled', { ...base, status: 'REVOKED', error: null });
    // The function may go on: as if the server had been killed.
    if (reason === 'stop') await this.#settle('Failed', { ...base, status: 'LOST', error: STOPPED });
  }

  async #handOver(ended: EndedStep | undefined): Promise<void> {
    const { definition } = this.#created;
    if (definition.tasksAsync.length === 0) return this.#settle('Complete', ended);
    const isOver = await this.#written(() => this.#submitAll(ended));
    if (!isOver) await this.#settle('Cancelled', ended);
  }

  /** @returns false when somebody asked for its end, or it is not ours any more: nothing was submitted */
  #submitAll(ended: EndedStep | undefined): Promise<boolean> {
    const { schema, transactions, leases } = this.#parts;
    const { definition, snapshot } = this.#created;
    const { instanceId: id } = snapshot;
    return transactions.runOwn(
      async () => {
        const executor = transactions.current()?.executor;
        if (!executor) throw new Error('a transaction has no executor');
        if (!(await settleInstance(executor, schema, { id, owner: leases.owner }, { state: 'Running', ended }))) {
          return false;
        }
        for (const [index, bound] of definition.tasksAsync.entries()) await this.#submit(bound, index);
        const adopted = await adoptTasks(executor, schema, id);
        if (adopted !== definition.tasksAsync.length)
          throw new Error(`${adopted} tasks of instance ${id} were written`);
        return true;
      },
      { name: `process ${definition.id}` },
    );
  }

  async #submit({ task, when, args }: AsyncBoundStep, index: number): Promise<void> {
    const { snapshot, taskIds, times } = this.#created;
    const at = times[index];
    await this.#parts.tasks.startTask(
      task.definition,
      { request: snapshot, results: this.#results, args },
      {
        transaction: 'ambient',
        submitter: snapshot.user,
        id: taskIds[index] ?? '',
        ...(at ? { at } : {}),
        ...(when.kind === 'delay' ? { delay: `${when.ms}ms` as const } : {}),
      },
    );
  }

  async #settle(state: Settled, ended?: EndedStep): Promise<void> {
    const { schema } = this.#parts;
    const isSettled = await this.#written((db, lease) => settleInstance(db, schema, lease, { state, ended }));
    // Somebody asked for its end meanwhile.
    if (!isSettled && state === 'Complete') await this.#settle('Cancelled', ended);
  }

  /**
   * As often as it takes while the instance is ours: each statement is fenced, and the same when it is written twice.
   * Behind that nobody waits for the database: its lease ends the instance, and who asked for it is told.
   */
  async #written<T>(
    write: (db: SqlExecutor, lease: { id: string; owner: string; leaseMs: number }) => Promise<T>,
  ): Promise<T> {
    const { db, leases, logger } = this.#parts;
    const { id } = this.#running;
    const lease = { id, owner: leases.owner, leaseMs: leases.leaseMs };
    for (;;) {
      const since = performance.now();
      try {
        const written = await write(db.within(this.#running.leftMs()), lease);
        this.#running.renewed(since);
        return written;
      } catch (error) {
        if (!isPassing(error) || !this.#running.isOurs() || db.isClosed) throw error;
        logger.warn({ error, instanceId: id }, 'a process instance could not be written; trying again');
        await sleep(RETRY_MS);
      }
    }
  }

  #logFailure(task: string, error: TaskFailure): void {
    const { definition, snapshot } = this.#created;
    const fields = { process: definition.id, instanceId: snapshot.instanceId, task, failure: error };
    this.#parts.logger.error(fields, 'a synchronous task failed');
  }
}

const STOPPED = JSON.stringify({
  name: 'ProcessLostError',
  message: 'the server stopped while it ran: whether it was done is unknown',
});

function endedStep(position: number, end: Exclude<StepEnd, { kind: 'aborted' }>): EndedStep {
  switch (end.kind) {
    case 'done':
      return { position, status: 'SUCCESS', result: end.result, error: null };
    case 'failed':
      return { position, status: 'FAILURE', result: null, error: JSON.stringify(end.error) };
    case 'timeout':
      return { position, status: 'TIMEOUT', result: null, error: JSON.stringify(end.error) };
    default:
      return end satisfies never;
  }
}

/** What is over when the database is back, or the other transaction is done. */
const isPassing = (error: unknown): boolean =>
  error instanceof DatabaseUnavailableError ||
  error instanceof DatabaseBusyError ||
  isConflict(error) ||
  error instanceof CommitAbortedError ||
  error instanceof CommitUnknownError;
