import { connectDatabase, type DatabaseConnection } from '../database/connection.ts';
import { EmbeddedDatabase } from '../embedded/database/embedded-database.ts';
import { NotRunningError } from '../errors.ts';
import type { Logger } from '../lifecycle/logger.ts';
import { Lifecycle, type Service, type ServiceState } from '../lifecycle/service.ts';

const SCHEMA = 'svc_comm_testing';

/**
 * An embedded database in memory whose time can be moved: what asks for `now()` or `clock_timestamp()` without naming a
 * schema finds ours first (`CURRENT_TIMESTAMP` is a keyword, and stays the real time). All sessions share one backend there, and its search path with it.
 */
export class TestDatabase implements Service {
  readonly name = 'test database';
  readonly #database: EmbeddedDatabase;
  readonly #lifecycle: Lifecycle;
  #connection: DatabaseConnection | undefined;

  constructor(logger: Logger) {
    this.#database = new EmbeddedDatabase({ logger });
    this.#lifecycle = new Lifecycle(this.name, {
      start: async () => {
        await this.#database.start();
        this.#connection = await connectDatabase({
          url: this.url,
          applicationName: 'svc-comm testing',
          prepare: false,
        });
        for (const sql of PREPARATION) await this.query(sql);
      },
      stop: async () => {
        await this.#connection?.close();
        await this.#database.stop();
      },
    });
  }

  get state(): ServiceState {
    return this.#lifecycle.state;
  }
  start(): Promise<void> {
    return this.#lifecycle.start();
  }
  stop(): Promise<void> {
    return this.#lifecycle.stop();
  }

  get url(): string {
    return this.#database.url;
  }

  async move(ms: number): Promise<void> {
    await this.query(`UPDATE ${SCHEMA}.moved SET ms = ms + ${ms}`);
  }

  async query<Row extends object>(sql: string): Promise<Row[]> {
    if (!this.#connection) throw new NotRunningError(this.name, this.state);
    return this.#connection.query<Row>(sql, []);
  }
}

const PREPARATION = [
  `CREATE SCHEMA ${SCHEMA}`,
  `CREATE TABLE ${SCHEMA}.moved (ms double precision NOT NULL)`,
  `INSERT INTO ${SCHEMA}.moved VALUES (0)`,
  ...['clock_timestamp', 'statement_timestamp', 'transaction_timestamp', 'now'].map(
    (name) =>
      `CREATE FUNCTION ${SCHEMA}.${name}() RETURNS timestamptz LANGUAGE sql VOLATILE
       AS $$ SELECT pg_catalog.${name}() + ms * interval '1 ms' FROM ${SCHEMA}.moved $$`,
  ),
  `SET search_path TO ${SCHEMA}, pg_catalog, public`,
];
