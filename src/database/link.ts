import { DatabaseAccessRefusedError, NotRunningError } from '../errors.ts';
import type { Logger } from '../lifecycle/logger.ts';
import { backoffMs } from '../util/backoff.ts';
import { type Deferred, deferred } from '../util/deferred.ts';
import { leavable } from '../util/leavable.ts';
import { linkedSignal } from '../util/linked-signal.ts';
import { sleep } from '../util/sleep.ts';
import { unlessAborted } from '../util/unless-aborted.ts';
import { type Waits, waitsUntilMs } from '../util/waits.ts';
import type { DatabaseConnection } from './connection.ts';
import type { SqlExecutor } from './executor.ts';

export interface LinkOptions {
  /** For logs. */
  readonly name: string;
  readonly connect: () => Promise<DatabaseConnection>;
  readonly logger: Logger;
  /** Called with each new connection before anybody uses it. */
  readonly onConnect?: (connection: DatabaseConnection) => Promise<void>;
  readonly onLost?: () => void;
}

/** How long somebody who asks is left without an answer while there is no connection. */
export const ASKED_MS = 10_000;

/** Why there is no connection yet. */
interface ConnectFailure {
  latest: unknown;
  /** Resolves with the first. */
  readonly first: Deferred<void>;
}

const RECONNECT = Object.freeze({ initialMs: 100, maxMs: 10_000 });

/**
 * A connection that is made anew when it was lost. A statement under way at the loss is rejected (whether it ran is
 * not known); the next one waits for the new connection.
 */
export class DatabaseLink implements SqlExecutor {
  readonly #options: LinkOptions;
  readonly #closed = new AbortController();
  #connection: DatabaseConnection | undefined;
  #opening: Promise<DatabaseConnection> | undefined;
  #failure: ConnectFailure = { latest: undefined, first: deferred() };

  constructor(options: LinkOptions) {
    this.#options = options;
  }

  get isConnected(): boolean {
    return this.#connection !== undefined && !this.#connection.lost.aborted;
  }

  /**
   * Connects for the first time, waiting for the database with back-off.
   * @param waits then it fails, with what there is against it
   * @throws DatabaseAccessRefusedError: only here, later it waits as well
   */
  async open(signal: AbortSignal, waits: Waits = true): Promise<void> {
    const untilMs = waitsUntilMs(waits);
    const isOver = () => performance.now() >= untilMs;
    await this.#connected(signal, (error) => isOver() || error instanceof DatabaseAccessRefusedError);
  }

  get isClosed(): boolean {
    return this.#closed.signal.aborted;
  }

  /** Resolves when there is a connection, making one if need be. */
  async connected(): Promise<void> {
    await this.#connected(this.#closed.signal, () => false);
  }

  async query<Row extends object>(sql: string, params: readonly (string | null)[], name?: string): Promise<Row[]> {
    const connection = await this.#connected(this.#closed.signal, () => false);
    return await connection.query<Row>(sql, params, name);
  }

  /**
   * The same connection, for statements that somebody waits for: one that has no connection within so long is rejected
   * with what there is against it, as one under way at the loss is.
   */
  within(ms: number): SqlExecutor {
    return {
      query: async (sql, params, name) => {
        const connection = await this.#connectedWithin(ms);
        return await connection.query(sql, params, name);
      },
    };
  }

  /** Ends the connection on purpose, as broken; the next statement makes a new one. */
  async reset(): Promise<void> {
    const connection = this.#connection;
    if (!connection || connection.lost.aborted) return;
    // While it ends it looks like one that lives, and rejects whatever it is given.
    this.#connection = undefined;
    this.#options.onLost?.();
    await connection.close();
  }

  /** For good: whoever waits for a connection is rejected. */
  async close(): Promise<void> {
    this.#closed.abort();
    await this.#opening?.catch(() => undefined);
    await this.#connection?.close();
  }

  async #connectedWithin(ms: number): Promise<DatabaseConnection> {
    if (this.#connection && this.isConnected) return this.#connection;
    const opened = leavable(this.#connected(this.#closed.signal, () => false));
    const failure = this.#failure;
    const over = new AbortController();
    const late = async (): Promise<never> => {
      await sleep(ms, over.signal);
      // Each attempt ends by itself: there is a reason, or soon will be.
      await failure.first.promise;
      throw failure.latest;
    };
    try {
      return await Promise.race([opened.promise, late()]);
    } finally {
      opened.leave();
      over.abort();
    }
  }

  /** The same promise for all who ask while there is no connection. */
  #connected(signal: AbortSignal, isFatal: (error: unknown) => boolean): Promise<DatabaseConnection> {
    if (this.#connection && !this.#connection.lost.aborted) return Promise.resolve(this.#connection);
    if (!this.#opening) {
      const { signal: ended, unlink } = linkedSignal(signal, this.#closed.signal);
      this.#opening = this.#open(ended, isFatal).finally(() => {
        unlink();
        this.#opening = undefined;
      });
    }
    return this.#opening;
  }

  async #open(ended: AbortSignal, isFatal: (error: unknown) => boolean): Promise<DatabaseConnection> {
    const { name, logger } = this.#options;
    const failure: ConnectFailure = { latest: undefined, first: deferred() };
    this.#failure = failure;
    for (let attempt = 0; !ended.aborted; attempt++) {
      try {
        const connection = await this.#connect(ended);
        await this.#adopt(connection, ended);
        if (attempt > 0) logger.info({ connection: name }, 'the database is back');
        return connection;
      } catch (error) {
        if (ended.aborted) break;
        if (isFatal(error)) throw error;
        failure.latest = error;
        failure.first.resolve();
        if (attempt === 0) logger.warn({ connection: name, error }, 'waiting for the database');
        await sleep(backoffMs(attempt, RECONNECT), ended);
      }
    }
    throw new NotRunningError(`database connection ${name}`, 'closed');
  }

  /** Whoever closes need not wait for one that takes its time; it is closed again when it comes. */
  async #connect(ended: AbortSignal): Promise<DatabaseConnection> {
    const connecting = this.#options.connect();
    try {
      return await unlessAborted(connecting, ended);
    } catch (error) {
      connecting.then((late) => late.close()).catch(() => undefined);
      throw error;
    }
  }

  async #adopt(connection: DatabaseConnection, ended: AbortSignal): Promise<void> {
    try {
      ended.throwIfAborted();
      await this.#options.onConnect?.(connection);
      ended.throwIfAborted();
    } catch (error) {
      await connection.close();
      throw error;
    }
    this.#connection = connection;
    const onLost = () => {
      if (this.#connection === connection) this.#options.onLost?.();
    };
    connection.lost.addEventListener('abort', onLost, { once: true });
  }
}
