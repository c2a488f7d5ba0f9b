import type { SqlExecutor } from '../database/executor.ts';
import type { Transactions } from '../database/transactions.ts';
import {
  DatabaseAccessRefusedError,
  DatabaseUnavailableError,
  NotRunningError,
  OverMaxConcurrencyError,
  TaskConflictError,
} from '../errors.ts';
import { Batcher } from '../util/batcher.ts';
import { canonicalJson } from '../util/canonical-json.ts';
import { parseArguments } from './argument.ts';
import type { TaskDefinition } from './definition.ts';
import { newTask, type StartOptions } from './new-task.ts';
import { type NewTask, type Submission, submit } from './sql/submit.ts';
import { isPlain, MOST_IN_A_BATCH, submitBatch } from './sql/submit-batch.ts';
import { submitTarget } from './submit-target.ts';

export interface SubmitterParts {
  readonly db: SqlExecutor;
  readonly transactions: Transactions;
  readonly schema: string;
  /** The broker's queue that workers take tasks from. */
  readonly queue: string;
  /** Whether workers of the queue are known to listen. */
  readonly isHeard: () => boolean;
}

export interface Submitted {
  /** The id of the task that is there now. */
  readonly registered: string;
  /** Whether it had been there before. */
  readonly wasKnown: boolean;
}

/**
 * Writes tasks: with a transaction of the caller's in that, else at once. What is to be written while a statement is under
 * way goes together in the next, one commit for all.
 */
export class Submitter {
  readonly #parts: SubmitterParts;
  readonly #plain = new Batcher<NewTask, () => Promise<Submission>>(
    (tasks) => this.#submitPlain(tasks),
    MOST_IN_A_BATCH,
  );

  constructor(parts: SubmitterParts) {
    this.#parts = parts;
  }

  /** @param id of the task, when it is new */
  async submit(definition: TaskDefinition, args: unknown, options: StartOptions, id: string): Promise<Submitted> {
    const { db, transactions, schema, queue } = this.#parts;
    // Before anything is awaited: what becomes of arguments and times while a schema takes its time is not what was asked for.
    const made = (async () => newTask(definition, args, options, { id, queue }))();
    // What the schema has against them is told first.
    made.catch(() => undefined);
    await parseArguments(definition.name, definition.schema, args);
    const task = await made;
    const target = await submitTarget(transactions, options.transaction, db);
    const isBatched = target.kind === 'own' && isPlain(task);
    const write = isBatched ? await this.#plain.add(task) : () => submit(target, schema, task);
    return resultOf(task, await write());
  }

  /** @returns for each what is left to do: of one that spoils the statement for all, and of all with it, each alone */
  async #submitPlain(tasks: readonly NewTask[]): Promise<(() => Promise<Submission>)[]> {
    const { db, schema, isHeard } = this.#parts;
    const made = await submitBatch(db, schema, tasks, isHeard()).catch((error: unknown) => {
      // Whether it ran is not known, or nothing would run now: no other try tells more.
      if (tasks.length === 1 || isOfConnection(error)) throw error;
      return new Set<string>();
    });
    return tasks.map((task) =>
      made.has(task.id) ? async () => SUBMITTED : () => submit({ kind: 'own', executor: db }, schema, task),
    );
  }
}

const isOfConnection = (error: unknown): boolean =>
  error instanceof DatabaseUnavailableError ||
  error instanceof DatabaseAccessRefusedError ||
  // It was closed.
  error instanceof NotRunningError;

const SUBMITTED: Submission = Object.freeze({ kind: 'submitted' });

function resultOf(task: NewTask, submission: Submission): Submitted {
  if (submission.kind === 'full') throw new OverMaxConcurrencyError(task.name, task.maxConcurrency);
  if (submission.kind === 'submitted') return { registered: task.id, wasKnown: false };
  const isSame = submission.name === task.name && isSameJson(submission.args, task.args);
  if (!isSame) throw new TaskConflictError(submission.id);
  return { registered: submission.id, wasKnown: true };
}

/** A client that asks again may write the members in another order. */
const isSameJson = (a: string, b: string): boolean =>
  a === b || canonicalJson(JSON.parse(a)) === canonicalJson(JSON.parse(b));
