import type { DatabaseLink } from '../database/link.ts';
import { Batcher } from '../util/batcher.ts';
import type { TaskDefinition } from './definition.ts';
import { type ClaimedTask, claimTasks, findClaimable } from './sql/claim.ts';
import { bytesOf, type FinishedRun, finishTasks, saveProgress } from './sql/finish.ts';

export interface LedgerParts {
  readonly db: DatabaseLink;
  readonly ends: DatabaseLink;
  readonly schema: string;
  /** This worker, in the rows of what it runs. */
  readonly owner: string;
  readonly leaseMs: number;
  readonly definitions: () => readonly TaskDefinition[];
}

export interface ProgressOfRun {
  report(fraction: number, note: string | undefined): void;
  /** Resolves when nothing of it is left to write: a row that has ended takes none. */
  written(): Promise<void>;
}

export interface Claimed {
  readonly task: ClaimedTask;
  /** Before the statement that set its lease, on the monotonic clock. */
  readonly sinceMs: number;
}

const MOST_IN_A_BATCH = 100;
/** A statement is in memory several times: as results, as parameters, and as what is sent. */
const MOST_BYTES_IN_A_BATCH = 8 * 1024 * 1024;

/** What a worker writes of its tasks; what is to be written while a statement is under way goes together in the next. */
export class Ledger {
  readonly #parts: LedgerParts;
  readonly #claims = new Batcher<string, Claimed | undefined>((ids) => this.#claim(ids), MOST_IN_A_BATCH);
  readonly #ends = new Batcher<FinishedRun, boolean>((runs) => this.#finish(runs), MOST_IN_A_BATCH, {
    of: bytesOf,
    most: MOST_BYTES_IN_A_BATCH,
  });

  constructor(parts: LedgerParts) {
    this.#parts = parts;
  }

  /** @returns undefined when it is not to be run: it has ended, runs elsewhere, or finds no place */
  claim(id: string): Promise<Claimed | undefined> {
    return this.#claims.add(id);
  }

  /** @returns false when the run was not ours any more: nothing was written */
  finish(run: FinishedRun): Promise<boolean> {
    return this.#ends.add(run);
  }

  /** Keeps the latest of what a run reports while the one before is written. Failures are left: the next is soon there. */
  progressOf({ id, attempt }: ClaimedTask): ProgressOfRun {
    const { db, schema, owner } = this.#parts;
    let latest: [number, string | undefined] | undefined;
    let writing: Promise<void> | undefined;
    const write = async () => {
      while (latest) {
        const [fraction, note] = latest;
        latest = undefined;
        await saveProgress(db, schema, owner, { id, attempt, fraction, note }).catch(() => undefined);
      }
      writing = undefined;
    };
    return {
      report(fraction, note) {
        latest = [fraction, note];
        writing ??= write();
      },
      written: async () => writing,
    };
  }

  /**
   * Tasks that could begin here now.
   * @param waitedMs have been due for so long
   * @param name only of this task
   */
  find(waitedMs: number, limit: number, name?: string): Promise<string[]> {
    const { db, schema } = this.#parts;
    const definitions = this.#parts.definitions().filter((one) => name === undefined || one.name === name);
    return findClaimable({ db, schema, definitions }, waitedMs, limit);
  }

  async #claim(ids: readonly string[]): Promise<(Claimed | undefined)[]> {
    const { db, schema, owner, leaseMs, definitions } = this.#parts;
    // A lease begins when the database sets it, not when we began to wait for the database.
    await db.connected();
    const sinceMs = performance.now();
    const claimed = await claimTasks({ db, schema, owner, leaseMs, definitions: definitions() }, [...new Set(ids)]);
    const byId = new Map(claimed.map((task) => [task.id, task]));
    // The same id twice in a batch is two messages of one task: the first gets it.
    return ids.map((id) => {
      const task = byId.get(id);
      byId.delete(id);
      return task && { task, sinceMs };
    });
  }

  async #finish(runs: readonly FinishedRun[]): Promise<boolean[]> {
    const { ends, schema, owner } = this.#parts;
    const ended = await finishTasks(ends, schema, owner, runs);
    return runs.map(({ id }) => ended.has(id));
  }
}
