import type { DatabaseConnection } from '../database/connection.ts';
import type { SqlExecutor } from '../database/executor.ts';
import { DatabaseLink } from '../database/link.ts';
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
  #link: DatabaseLink | undefined;
  #reconnecting: Promise<void> | undefined;
  #timer: NodeJS.Timeout | undefined;
  #isLooking = false;
  #isOpen = false;

  constructor(options: TaskWatchOptions) {
    this.#options = options;
  }

  /** Resolves when it listens; when it cannot, it goes on without and tries again. */
  async open(signal: AbortSignal): Promise<void> {
    this.#isOpen = true;
    if (!this.#options.listen) return;
    const { connect, logger } = this.#options;
    this.#link = new DatabaseLink({
      name: 'tasks listen',
      connect,
      logger,
      onConnect: (connection) => connection.listen(TASK_CHANNEL, (payload) => this.#heard(payload)),
      // What ended meanwhile was told to nobody.
      onLost: () => this.#lookSoon(),
    });
    await this.#link.open(signal, false).catch((error: unknown) => {
      logger.warn({ error }, 'cannot listen for what becomes of tasks; looking at their rows instead');
    });
  }

  async close(): Promise<void> {
    this.#isOpen = false;
    clearTimeout(this.#timer);
    this.#timer = undefined;
    await this.#link?.close();
    this.#link = undefined;
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

  /** One attempt at a time: it goes on until there is a connection, or the link is closed. */
  #reconnect(link: DatabaseLink): void {
    const ended = () => {
      this.#reconnecting = undefined;
    };
    this.#reconnecting ??= link.connected().then(ended, ended);
  }

  async #look(): Promise<void> {
    this.#isLooking = true;
    try {
      if (this.#link && !this.#link.isConnected) this.#reconnect(this.#link);
      const ended = await readEnded(this.#options.db, this.#options.schema, [...this.#listeners.keys()]);
      for (const id of ended) this.#tell({ kind: 'look', id });
      if (!this.#link?.isConnected) for (const id of this.#listeners.keys()) this.#tell({ kind: 'deaf', id });
    } catch (error) {
      if (this.#isOpen) this.#options.logger.warn({ error }, 'could not look at the rows of tasks; looking again');
    } finally {
      this.#isLooking = false;
      this.#schedule();
    }
  }
}
