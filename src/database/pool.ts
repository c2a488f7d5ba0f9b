import type { Knex } from 'knex';
import { DatabaseAccessRefusedError, DatabaseBusyError, DatabaseUnavailableError } from '../errors.ts';
import { Lifecycle, type Service, type ServiceState } from '../lifecycle/service.ts';
import { backoffMs } from '../util/backoff.ts';
import { maskWholeUrl } from '../util/mask.ts';
import { sleep } from '../util/sleep.ts';
import { unlessAborted } from '../util/unless-aborted.ts';
import { waitsUntilMs } from '../util/waits.ts';
import {
  errorText,
  isAccessRefused,
  isConnectionError,
  sqlState,
  toDatabaseError,
  unavailable,
} from './database-error.ts';
import { knexLog } from './knex-log.ts';
import { type PoolOptions, type ResolvedPoolOptions, resolvePoolOptions } from './pool-options.ts';
import { isBehindPooler } from './pooler.ts';
import { type RefusableConnection, RefusedWrites } from './refused-writes.ts';
import { SilenceWatch, type WatchedClient } from './silence-watch.ts';
import { TransactionHolders } from './transaction-holders.ts';

/** The part of knex's client that hands out connections. */
interface KnexClient {
  readonly pool: { numUsed(): number };
  acquireConnection(): Promise<RawConnection>;
  releaseConnection(connection: RawConnection): Promise<void>;
}
interface RawConnection extends WatchedClient, RefusableConnection {
  readonly connection: WatchedClient['connection'] & RefusableConnection['connection'];
  end(): Promise<void>;
}

/** As for connections outside the pool: without it the system waits for two hours. */
const KEEPALIVE_MS = 10_000;

/** What the embedded database says when a long transaction of another connection has it: lock_not_available. */
const BACKEND_HELD = '55P03';

/**
 * Connections to the service's database, as a knex instance. A connection that is lost ends its statement, never the
 * process; the pool makes another one for the next.
 */
export class DatabasePool implements Service {
  readonly name = 'database pool';
  readonly options: ResolvedPoolOptions;
  /** Open transactions of this pool. */
  readonly holders = new TransactionHolders();
  readonly #lifecycle: Lifecycle;
  readonly #connections = new Set<RawConnection>();
  readonly #refusals = new RefusedWrites(this.#connections);
  readonly #silence: SilenceWatch;
  #knex: Knex | undefined;
  #isPooled = false;

  constructor(options: PoolOptions) {
    this.options = resolvePoolOptions(options);
    this.#silence = new SilenceWatch({ ...this.options, url: () => this.#url });
    this.#lifecycle = new Lifecycle(this.name, {
      start: (signal) => this.#start(signal),
      stop: () => this.#stop(),
    });
  }

  /** Masked. */
  get url(): string {
    return maskWholeUrl(this.#url);
  }

  get #url(): string {
    const { url } = this.options;
    return typeof url === 'function' ? url() : url;
  }

  get state(): ServiceState {
    return this.#lifecycle.state;
  }

  /**
   * Resolves when the database answers.
   * @throws DatabaseAccessRefusedError (SVC_COMM_DATABASE_ACCESS_REFUSED) at once for wrong credentials or database
   * @throws DatabaseUnavailableError (SVC_COMM_DATABASE_UNAVAILABLE) when it is down and `wait` is off
   */
  start(): Promise<void> {
    return this.#lifecycle.start();
  }

  /** Resolves when every connection is closed; open transactions get `stopTimeoutMs` to end. */
  stop(): Promise<void> {
    return this.#lifecycle.stop();
  }

  /** @throws NotRunningError (SVC_COMM_NOT_RUNNING) before start and after stop */
  get knex(): Knex {
    this.#lifecycle.assertRunning();
    return this.#knex as Knex;
  }

  /** Whether frequent statements may be prepared by name: the option, and no pooler was found before PostgreSQL. */
  get prepares(): boolean {
    return this.options.prepare && !this.#isPooled;
  }

  /**
   * Commits what `work` does when it resolves, and rolls it back when it rejects.
   * @throws what `work` throws; DatabaseUnavailableError instead of a refused write (25006) when the server refuses those
   *   of the session, and not of this transaction alone, which `work` can have made READ ONLY; behind a pooler, which may
   *   have another session asked, what a statement of ours has said stands
   */
  async transaction<T>(work: (transaction: Knex.Transaction) => Promise<T>): Promise<T> {
    const { knex } = this;
    const client = knex.client as KnexClient;
    const connection = await client.acquireConnection();
    this.#refusals.begin(connection);
    try {
      return await knex.transaction(work, { connection });
    } catch (error) {
      throw await this.#refusals.failure(connection, error, { url: this.url, isPooled: this.#isPooled });
    } finally {
      await client.releaseConnection(connection);
    }
  }

  /** Makes new connections from now on: those that there are lead to a server that refuses writes. */
  leaveServer(): void {
    this.#refusals.leaveServer();
  }

  async #start(signal: AbortSignal): Promise<void> {
    await unlessAborted(this.options.ready(), signal);
    const knex = await this.#create();
    this.#knex = knex;
    const untilMs = waitsUntilMs(this.options.wait);
    for (let attempt = 0; ; attempt++) {
      try {
        await knex.raw('SELECT 1');
        return;
      } catch (error) {
        const failure = this.#translate(error);
        const mayPass = failure instanceof DatabaseUnavailableError || sqlState(error) === BACKEND_HELD;
        if (!mayPass || performance.now() >= untilMs || signal.aborted) throw failure;
        const delayMs = backoffMs(attempt);
        this.options.logger.warn(
          { url: this.url, delayMs, reason: errorText(error) },
          'the database is not available; trying again',
        );
        await sleep(delayMs, signal);
        if (signal.aborted) throw failure;
      }
    }
  }

  async #stop(): Promise<void> {
    const knex = this.#knex;
    if (!knex) return;
    const { stopTimeoutMs, logger } = this.options;
    const closed = knex.destroy();
    const timer = setTimeout(() => {
      logger.warn(
        { holders: this.holders.describe() },
        'open transactions did not end in time: closing their connections',
      );
      for (const connection of this.#connections) connection.end().catch(() => undefined);
    }, stopTimeoutMs);
    await closed.finally(() => clearTimeout(timer));
    this.#silence.stop();
    this.#knex = undefined;
  }

  async #create(): Promise<Knex> {
    // Some 300 files, which many a process never needs: a relay and a worker have connections of their own.
    const { knex: createKnex, KnexTimeoutError } = (await import('knex')).default;
    const { url, max, connectTimeoutMs, busyTimeoutMs, applicationName, prepare, logger } = this.options;
    const connection = (connectionString: string) =>
      ({
        connectionString,
        connectionTimeoutMillis: connectTimeoutMs,
        fallback_application_name: applicationName,
        keepAlive: true,
        keepAliveInitialDelayMillis: KEEPALIVE_MS,
      }) as Knex.PgConnectionConfig;
    const knex = createKnex({
      client: 'pg',
      connection: typeof url === 'function' ? () => expiring(url, connection) : connection(url),
      pool: {
        min: 0,
        max,
        validate: (connection: RawConnection) => !this.#refusals.isLeft(connection),
        afterCreate: (connection: RawConnection & NodeJS.EventEmitter, done: (error?: Error) => void) => {
          this.#connections.add(connection);
          // Without sessions of their own there is nothing to ask about.
          if (prepare) this.#silence.add(connection);
          this.#refusals.watch(connection);
          connection.once('end', () => {
            this.#connections.delete(connection);
            this.#silence.remove(connection);
          });
          this.#lookForPooler(connection).then(() => done(), done);
        },
      },
      acquireConnectionTimeout: busyTimeoutMs,
      log: knexLog(logger),
    });
    const client = knex.client as KnexClient;
    const acquire = client.acquireConnection.bind(client);
    client.acquireConnection = () => this.#watch(acquire, () => client.pool.numUsed() >= max, KnexTimeoutError);
    return knex;
  }

  async #lookForPooler(connection: RawConnection): Promise<void> {
    if (!this.prepares) return;
    try {
      // The address may lead to one from now on; connections from before are no reason to prepare.
      if (await isBehindPooler(connection)) this.#isPooled = true;
    } catch (error) {
      connection.end().catch(() => undefined);
      throw error;
    }
  }

  /** Waits for a connection; long waits name who holds them, because they are usually waiting for us. */
  async #watch(
    acquire: () => Promise<RawConnection>,
    isFull: () => boolean,
    TimeoutError: new () => Error,
  ): Promise<RawConnection> {
    const { busyWarningMs, logger, max } = this.options;
    const asked = performance.now();
    const timer = setTimeout(() => {
      if (!isFull()) return;
      logger.warn(
        { waitedMs: Math.round(performance.now() - asked), max, holders: this.holders.describe() },
        'no database connection is free: open transactions hold them; inside a handler use context.transaction ' +
          'instead of another connection, or raise pool.max',
      );
    }, busyWarningMs);
    try {
      return await acquire();
    } catch (error) {
      if (error instanceof TimeoutError) {
        const waitedMs = Math.round(performance.now() - asked);
        if (isFull()) throw new DatabaseBusyError(waitedMs, this.holders.describe(), { cause: error });
        // The cause would say that the pool is full, which it is not.
        throw new DatabaseUnavailableError(this.url, `no answer within ${waitedMs} ms`);
      }
      throw this.#translate(error);
    } finally {
      clearTimeout(timer);
    }
  }

  #translate(error: unknown): unknown {
    const options = { cause: error };
    if (isAccessRefused(error)) return new DatabaseAccessRefusedError(this.url, errorText(error), options);
    if (isConnectionError(error)) return unavailable(this.url, error);
    return toDatabaseError(error);
  }
}

/** Asked for again, and idle connections dropped, when the server has moved. */
function expiring(url: () => string, connection: (url: string) => Knex.PgConnectionConfig): Knex.PgConnectionConfig {
  const used = url();
  return { ...connection(used), expirationChecker: () => url() !== used };
}
