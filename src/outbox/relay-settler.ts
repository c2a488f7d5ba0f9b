import { sqlState } from '../database/database-error.ts';
import type { SqlExecutor } from '../database/executor.ts';
import type { Logger } from '../lifecycle/logger.ts';
import { Bell } from '../util/bell.ts';
import { sleep } from '../util/sleep.ts';
import type { RelayLanes } from './relay-lanes.ts';
import type { OutboxRow } from './relay-row.ts';
import type { RelayStats } from './relay-stats.ts';
import { prepareDeleteConfirmed } from './sql/delete-confirmed.ts';
import { prepareRecordFailures } from './sql/record-failures.ts';

export interface RelaySettlerOptions {
  readonly db: SqlExecutor;
  readonly owner: string;
  readonly schema: string;
  readonly batchSize: number;
  readonly restartMs: number;
  readonly maxBackoffMs: number;
  readonly lanes: RelayLanes;
  readonly stats: RelayStats;
  readonly logger: Logger;
  readonly onSettled: () => void;
}

/** A delete waits so long for more rows to share its statement; nobody waits for the delete. */
const LINGER_MS = 10;
const FIRST_BACKOFF_MS = 1000;
const LOCK_NOT_AVAILABLE = '55P03';
/** Rows that somebody has locked are tried again so often. */
const LOCKED_RETRY_MS = 1000;

/**
 * Writes what became of rows back to the database: deletes what is confirmed, records what was refused. If the
 * process dies before, the rows are published again with the same message ids.
 */
export class RelaySettler {
  readonly #options: RelaySettlerOptions;
  readonly #delete: ReturnType<typeof prepareDeleteConfirmed>;
  readonly #record: ReturnType<typeof prepareRecordFailures>;
  readonly #bell = new Bell();
  #confirmed: OutboxRow[] = [];
  #failed: { readonly row: OutboxRow; readonly error: string; readonly retryAfterMs: number | undefined }[] = [];
  #lockedCount = 0;
  #writing = 0;

  constructor(options: RelaySettlerOptions) {
    this.#options = options;
    this.#delete = prepareDeleteConfirmed(options.schema);
    this.#record = prepareRecordFailures(options.schema);
  }

  /** Rows whose outcome is not written yet. */
  get pending(): number {
    return this.#confirmed.length + this.#failed.length + this.#lockedCount + this.#writing;
  }

  confirmed(row: OutboxRow): void {
    const count = this.#confirmed.push(row);
    if (count === 1 || count === this.#options.batchSize) this.#bell.ring();
  }

  /** @param retryAfterMs when it is tried again, where that is known. @default a back-off */
  failed(row: OutboxRow, error: string, retryAfterMs?: number): void {
    this.#failed.push({ row, error, retryAfterMs });
    this.#bell.ring();
  }

  async run(signal: AbortSignal): Promise<void> {
    while (!signal.aborted) {
      await this.#bell.wait(signal);
      if (this.#failed.length === 0 && this.#confirmed.length < this.#options.batchSize) {
        await this.#bell.wait(signal, LINGER_MS);
      }
      if (signal.aborted) return;
      await this.#flushLogged();
      if (this.#confirmed.length + this.#failed.length > 0) this.#bell.ring();
    }
  }

  async #flushLogged(): Promise<void> {
    const { logger, restartMs } = this.#options;
    try {
      await this.flush();
    } catch (error) {
      logger.warn({ error, rows: this.pending }, 'what was published could not be written back yet; trying again');
      await sleep(restartMs);
    }
  }

  /** Writes everything that is known now. On an error nothing is forgotten. */
  async flush(): Promise<void> {
    while (this.#failed.length > 0) await this.#recordBatch();
    while (this.#confirmed.length > 0) await this.#deleteBatch();
  }

  async #deleteBatch(): Promise<void> {
    const { owner, batchSize, stats } = this.#options;
    const rows = this.#confirmed.splice(0, 2 * batchSize);
    const { deleted, locked } = await this.#write(
      rows,
      () => this.#deleteRows(rows, owner),
      () => this.#confirmed.unshift(...rows),
    );
    stats.deleted += deleted;
    stats.fencedOut += rows.length - deleted - locked.size;
    this.#settle(rows.filter((row) => !locked.has(row.id)));
    this.#retryLocked(rows.filter((row) => locked.has(row.id)));
  }

  async #deleteRows(rows: readonly OutboxRow[], owner: string) {
    const { db } = this.#options;
    try {
      return { deleted: await this.#delete.all(db, rows, owner), locked: new Set<number>() };
    } catch (error) {
      if (sqlState(error) !== LOCK_NOT_AVAILABLE) throw error;
      return await this.#delete.unlocked(db, rows, owner);
    }
  }

  /** What is being written is in no list; after an error it is put back. */
  async #write<T>(rows: readonly unknown[], work: () => Promise<T>, putBack: () => void): Promise<T> {
    this.#writing += rows.length;
    try {
      return await work();
    } catch (error) {
      putBack();
      throw error;
    } finally {
      this.#writing -= rows.length;
    }
  }

  #retryLocked(rows: readonly OutboxRow[]): void {
    if (rows.length === 0) return;
    this.#lockedCount += rows.length;
    const timer = setTimeout(() => {
      this.#lockedCount -= rows.length;
      for (const row of rows) this.confirmed(row);
      this.#bell.ring();
    }, LOCKED_RETRY_MS);
    timer.unref();
  }

  async #recordBatch(): Promise<void> {
    const { db, owner, batchSize, stats } = this.#options;
    const batch = this.#failed.splice(0, batchSize);
    const failures = batch.map(({ row, error, retryAfterMs }) => ({
      id: row.id,
      messageId: row.messageId,
      grant: row.grant,
      delayMs: retryAfterMs ?? this.#backoffMs(row.attempts),
      error,
    }));
    const found = await this.#write(
      batch,
      () => this.#record(db, failures, owner),
      () => this.#failed.unshift(...batch),
    );
    stats.fencedOut += batch.length - found;
    this.#settle(batch.map(({ row }) => row));
  }

  /** 1 s, doubling, between half and all of it. */
  #backoffMs(attempts: number): number {
    const ceiling = Math.min(this.#options.maxBackoffMs, FIRST_BACKOFF_MS * 2 ** Math.min(attempts, 30));
    return ceiling * (0.5 + 0.5 * Math.random());
  }

  #settle(rows: readonly OutboxRow[]): void {
    const { lanes, onSettled } = this.#options;
    for (const row of rows) lanes.settled(row);
    onSettled();
  }
}
