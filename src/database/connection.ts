import { Socket } from 'node:net';
import { Client, type ClientConfig, escapeLiteral } from 'pg';
import { DatabaseAccessRefusedError, DatabaseUnavailableError } from '../errors.ts';
import { maskWholeUrl } from '../util/mask.ts';
import {
  errorText,
  isAccessRefused,
  isConnectionError,
  isDiskFull,
  isReadOnly,
  toDatabaseError,
  unavailable,
} from './database-error.ts';
import type { SqlExecutor } from './executor.ts';
import { quoteIdentifier } from './identifier.ts';
import { isBehindPooler } from './pooler.ts';

/** One connection to PostgreSQL outside any pool: for the relay and for LISTEN. Statements run one after another. */
export interface DatabaseConnection extends SqlExecutor {
  /** Aborts when the connection is gone, whoever ended it. It does not come back: make another. */
  readonly lost: AbortSignal;
  /** Listens on a channel from now on. The callback must not throw. */
  listen(channel: string, onNotify: (payload: string) => void): Promise<void>;
  /** Ends it, by force after a second: statements under way are rejected. */
  close(): Promise<void>;
}

export interface ConnectionOptions {
  /** `postgres://…` */
  readonly url: string;
  /** Shown in `pg_stat_activity`. @default 'svc-comm' */
  readonly applicationName?: string;
  /** Milliseconds until an attempt to connect is given up. @default 10_000 */
  readonly connectTimeoutMs?: number;
  /** A statement without an answer for so long has lost its connection (half-open TCP). Milliseconds. @default 30_000 */
  readonly statementDeadlineMs?: number;
  /**
   * Whether statements are prepared under their names, unless a pooler is found, and `settings` applied. Off for PGlite,
   * where sessions share a backend. @default true
   */
  readonly prepare?: boolean;
  /**
   * Settings for all its statements (`lock_timeout`, …): of the session, or behind a pooler, where another may have it
   * next, of a transaction for each. No effect when `prepare` is off. @default {}
   */
  readonly settings?: Readonly<Record<string, string>>;
}

export const DEFAULT_CONNECTION_OPTIONS = Object.freeze({
  applicationName: 'svc-comm',
  connectTimeoutMs: 10_000,
  statementDeadlineMs: 30_000,
  prepare: true,
});

const ISOLATION = 'read committed';
/**
 * Whatever is set for the role or the database: who listens says nothing for hours, and is not to be ended for it, and a
 * statement that waited for a lock is to go on with what was committed meanwhile.
 */
const OWN_SETTINGS = Object.freeze({ idle_session_timeout: '0', default_transaction_isolation: ISOLATION });
const KEEPALIVE_MS = 10_000;
const CLOSE_MS = 1000;

/**
 * Opens a connection.
 * @throws DatabaseUnavailableError, DatabaseAccessRefusedError
 */
export async function connectDatabase(options: ConnectionOptions): Promise<DatabaseConnection> {
  const connection = new PgConnection({ ...DEFAULT_CONNECTION_OPTIONS, settings: {}, ...options });
  await connection.open();
  return connection;
}

class PgConnection implements DatabaseConnection {
  readonly #options: Required<ConnectionOptions>;
  readonly #url: string;
  readonly #socket = new Socket();
  readonly #client: Client;
  readonly #lost = new AbortController();
  #isPooled = false;
  /** Whether transactions of the pooler's sessions are to say which isolation is theirs. */
  #isOtherwiseIsolated = false;
  readonly #channels = new Map<string, (payload: string) => void>();
  #last: Promise<unknown> = Promise.resolve();

  constructor(options: Required<ConnectionOptions>) {
    this.#options = options;
    this.#url = maskWholeUrl(options.url);
    const config: ClientConfig = {
      connectionString: options.url,
      application_name: options.applicationName,
      connectionTimeoutMillis: options.connectTimeoutMs,
      keepAlive: true,
      keepAliveInitialDelayMillis: KEEPALIVE_MS,
      stream: () => this.#socket,
    };
    this.#client = new Client(config);
    // Without a listener an idle connection that dies would end the process.
    this.#client.on('error', (error) => this.#lose(error));
    this.#client.on('end', () => this.#lose(new Error('connection ended')));
    this.#client.on('notification', ({ channel, payload }) => this.#channels.get(channel)?.(payload ?? ''));
  }

  get lost(): AbortSignal {
    return this.#lost.signal;
  }

  async open(): Promise<void> {
    const { connectTimeoutMs } = this.#options;
    // Of pg's own time only the greeting is a part: a server may fall silent behind it.
    const deadline = setTimeout(
      () => this.#lose(new Error(`no answer within ${connectTimeoutMs} ms`)),
      connectTimeoutMs,
    );
    try {
      await this.#client.connect();
      if (!this.#options.prepare) return;
      this.#isPooled = await isBehindPooler(this.#client);
      if (this.#isPooled) {
        this.#isOtherwiseIsolated = await isIsolatedOtherwise(this.#client);
        return;
      }
      for (const [name, value] of Object.entries({ ...OWN_SETTINGS, ...this.#options.settings })) {
        await this.#client.query('SELECT set_config($1, $2, false)', [name, value]);
      }
    } catch (error) {
      this.#lose(error);
      if (isAccessRefused(error)) throw new DatabaseAccessRefusedError(this.#url, errorText(error), { cause: error });
      throw unavailable(this.#url, this.lost.reason);
    } finally {
      clearTimeout(deadline);
    }
  }

  query<Row extends object>(sql: string, params: readonly (string | null)[], name?: string): Promise<Row[]> {
    // node-postgres deprecates its own queue, so statements wait for each other here
    const run = this.#last.then(() => this.#run<Row>(sql, params, name));
    this.#last = run.catch(() => undefined);
    return run;
  }

  async #run<Row extends object>(
    sql: string,
    params: readonly (string | null)[],
    name: string | undefined,
  ): Promise<Row[]> {
    if (this.lost.aborted) {
      throw new DatabaseUnavailableError(this.#url, 'the connection was lost', { cause: this.lost.reason });
    }
    const deadline = setTimeout(() => this.#giveUp(), this.#options.statementDeadlineMs);
    try {
      const isNamed = name !== undefined && this.#options.prepare && !this.#isPooled;
      const statement = { text: sql, values: [...params], ...(isNamed && { name }) };
      const result = await this.#withSettings(() => this.#client.query<Row>(statement));
      return result.rows;
    } catch (error) {
      if (isConnectionError(error) || this.lost.aborted) throw unavailable(this.#url, error);
      if (isDiskFull(error)) throw unavailable(this.#url, error);
      if (!isReadOnly(error)) throw toDatabaseError(error);
      // The address may lead to the primary by now: another connection has to find out.
      this.#lose(error);
      throw unavailable(this.#url, error);
    } finally {
      clearTimeout(deadline);
    }
  }

  async #withSettings<T>(work: () => Promise<T>): Promise<T> {
    const settings = Object.entries(this.#options.settings);
    if (!this.#isPooled || (settings.length === 0 && !this.#isOtherwiseIsolated)) return work();
    const local = settings.map(([name, value]) => `SET LOCAL ${quoteIdentifier(name)} = ${escapeLiteral(value)}`);
    await this.#client.query([`BEGIN ISOLATION LEVEL ${ISOLATION}`, ...local].join('; '));
    try {
      const result = await work();
      await this.#client.query('COMMIT');
      return result;
    } catch (error) {
      await this.#client.query('ROLLBACK').catch(() => undefined);
      throw error;
    }
  }

  async listen(channel: string, onNotify: (payload: string) => void): Promise<void> {
    this.#channels.set(channel, onNotify);
    await this.query(`LISTEN ${quoteIdentifier(channel)}`, []);
  }

  async close(): Promise<void> {
    if (!this.lost.aborted) {
      const force = setTimeout(() => this.#socket.destroy(), CLOSE_MS);
      await this.#client.end().catch(() => undefined);
      clearTimeout(force);
    }
    this.#lose(new Error('closed'));
  }

  #giveUp(): void {
    const { statementDeadlineMs } = this.#options;
    this.#lose(new Error(`no answer for ${statementDeadlineMs} ms`));
  }

  #lose(reason: unknown): void {
    this.#socket.destroy();
    this.#lost.abort(reason);
  }
}

async function isIsolatedOtherwise(client: Client): Promise<boolean> {
  const { rows } = await client.query<{ level: string }>(
    `SELECT current_setting('default_transaction_isolation') AS level`,
  );
  return rows[0]?.level !== ISOLATION;
}
