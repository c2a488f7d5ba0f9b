import type { DatabaseConnection } from '../database/connection.ts';
import type { SqlExecutor } from '../database/executor.ts';
import { Listener } from '../database/listener.ts';
import type { Logger } from '../lifecycle/logger.ts';
import { parseNotice, TASK_CHANNEL, type TaskNotice, type WorkerNotice } from './sql/channel.ts';
import { readEnded } from './sql/read.ts';

export interface TaskWatchOptions {
  /** Opens the connection that listens and does nothing else. */
  readonly connect: () => Promise<DatabaseConnection>;
  readonly db: SqlExecutor;
  readonly schema: string;
  readonly logger: Logger;
  /** How often the rows of watched tasks are looked at without being notified, in ms. */
  readonly pollMs: number;
  /** Whether LISTEN is tried; looking goes on in any case. */
  readonly listen: boolean;
  /** See `ListenerOptions`. */
  readonly beforeProof?: () => Promise<void>;
}

/** `look`: it has ended, its row says how. `deaf`: nothing can be heard at the moment, so look for whatever matters. */
export type WatchNotice = TaskNotice | { readonly kind: 'look' | 'deaf'; readonly id: string };
export type WatchListener = (notice: WatchNotice) => void;

/**
 * Tells those who wait for a task what becomes of it: by notification, and by looking at the rows from time to time,
 * since a notification is lost with the connection that was to hear it.
 */
export class TaskWatch {
  readonly #options: TaskWatchOptions;
  readonly #listeners = new Map<string, Set<WatchListener>>();
  readonly #everything = new Set<(notice: TaskNotice | WorkerNotice) => void>();
  readonly #closed = new AbortController();
  #listener: Listener | undefined;
  #listening: Promise<void> | undefined;
  #timer: NodeJS.Timeout | undefined;
  #isLooking = false;
  #isOpen = false;

  constructor(options: TaskWatchOptions) {
    this.#options = options;
  }

  /** Resolves when it listens; when it cannot, it goes on without and tries again. */
  async open(signal: AbortSignal): Promise<void> {
    this.#isOpen = true;
    this.#schedule();
    if (!this.#options.listen) return;
    const { connect, db, beforeProof, logger } = this.#options;
    const listener = new Listener({
      name: 'tasks listen',
      connect,
      db,
      channel: TASK_CHANNEL,
      beforeProof,
      logger,
      instead: 'the rows of tasks are looked at',
      onNotify: (payload) => this.#heard(payload),
      // What ended meanwhile was told to nobody.
      onHears: () => this.#lookSoon(),
    });
    this.#listener = listener;
    const opened = listener.open(signal).catch((error: unknown) => {
      logger.warn({ error }, 'cannot listen for what becomes of tasks; looking at their rows instead');
    });
    this.#listening = opened.then(() => listener.run(this.#closed.signal));
    await opened;
  }

  async close(): Promise<void> {
    this.#isOpen = false;
    clearTimeout(this.#timer);
    this.#timer = undefined;
    this.#closed.abort();
    await this.#listening;
  }

  /** @returns the function that ends it */
  watch(taskId: string, listener: WatchListener): () => void {
    // What is heard has it so; whoever waits may have it from outside.
    const id = taskId.toLowerCase();
    const listeners = this.#listeners.get(id) ?? new Set();
    this.#listeners.set(id, listeners.add(listener));
    this.#schedule();
    return () => {
      listeners.delete(listener);
      if (listeners.size === 0 && this.#listeners.get(id) === listeners) this.#listeners.delete(id);
    };
  }

  /** Every notification, of any task. @returns the function that ends it */
  watchAll(listener: (notice: TaskNotice | WorkerNotice) => void): () => void {
    this.#everything.add(listener);
    return () => this.#everything.delete(listener);
  }

  #heard(payload: string): void {
    const notice = parseNotice(payload);
    if (!notice) return;
    for (const listener of this.#everything) listener(notice);
    if (notice.kind !== 'waits' && notice.kind !== 'worker') this.#tell(notice);
  }

  #tell(notice: WatchNotice): void {
    for (const listener of this.#listeners.get(notice.id) ?? []) listener(notice);
  }

  #lookSoon(): void {
    clearTimeout(this.#timer);
    this.#timer = undefined;
    this.#schedule(0);
  }

  #schedule(ms = this.#options.pollMs): void {
    if (!this.#isOpen || this.#timer || this.#isLooking || this.#listeners.size === 0) return;
    this.#timer = setTimeout(() => {
      this.#timer = undefined;
      void this.#look();
    }, ms);
  }

  async #look(): Promise<void> {
    this.#isLooking = true;
    try {
      const ended = await readEnded(this.#options.db, this.#options.schema, [...this.#listeners.keys()]);
      for (const id of ended) this.#tell({ kind: 'look', id });
      if (!this.#listener?.hears) for (const id of this.#listeners.keys()) this.#tell({ kind: 'deaf', id });
    } catch (error) {
      if (this.#isOpen) this.#options.logger.warn({ error }, 'could not look at the rows of tasks; looking again');
    } finally {
      this.#isLooking = false;
      this.#schedule();
    }
  }
}
