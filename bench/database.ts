import { readFile } from 'node:fs/promises';
import knexModule, { type Knex } from 'knex';
import pg from 'pg';
import { testDatabaseUrl, uniqueName } from '../test/support/servers.ts';
import { compiled } from './compiled.ts';

/** A schema of the bench's own with our tables. */
export class BenchDatabase {
  readonly url: string;
  readonly schema: string;
  readonly pool: pg.Pool;
  #users: pg.Pool | undefined;
  readonly #closers: (() => Promise<unknown>)[] = [];

  private constructor(url: string, schema: string) {
    this.url = url;
    this.schema = schema;
    this.pool = new pg.Pool({ connectionString: url, max: 4 });
  }

  static async open(bench: string, ofServer = testDatabaseUrl()): Promise<BenchDatabase> {
    const database = new BenchDatabase(ofServer, uniqueName(`bench_${bench}`));
    const { createService } = await compiled('index');
    const { url, schema } = database;
    const service = createService({ appId: 'bench', databaseUrl: url, schema, logLevel: 'error' });
    await service.migrate();
    await service.close();
    return database;
  }

  table(name: string): string {
    return `"${this.schema}".${name}`;
  }

  /** Connections of the other side, each its own. */
  async clients(count: number): Promise<pg.Client[]> {
    const clients = Array.from({ length: count }, () => new pg.Client({ connectionString: this.url }));
    for (const client of clients) this.#closers.push(() => client.end());
    await Promise.all(clients.map((client) => client.connect()));
    return clients;
  }

  /** The callback form of a transaction that users of pg write. */
  async transaction<T>(max: number, work: (client: pg.PoolClient) => Promise<T>): Promise<T> {
    this.#users ??= new pg.Pool({ connectionString: this.url, max, idleTimeoutMillis: 0 });
    const client = await this.#users.connect();
    try {
      await client.query('BEGIN');
      const value = await work(client);
      await client.query('COMMIT');
      return value;
    } catch (error) {
      await client.query('ROLLBACK');
      throw error;
    } finally {
      client.release();
    }
  }

  /** Commits rows of another's table with the statistics that its autovacuum would have made. */
  async fill(table: string, insert: string, values: readonly unknown[]): Promise<void> {
    await this.transaction(1, async (client) => {
      await client.query(insert, [...values]);
      await client.query(`ANALYZE ${table}`);
    });
  }

  knex(max: number): Knex {
    const knex = knexModule.default({ client: 'pg', connection: this.url, pool: { min: 0, max } });
    this.#closers.push(() => knex.destroy());
    return knex;
  }

  /** CPU in ms that the backends with such an application name have used; undefined when it cannot be read here. */
  async cpuMs(applicationName: string): Promise<number | undefined> {
    const sql = `SELECT pid FROM pg_stat_activity WHERE application_name LIKE $1`;
    const { rows } = await this.pool.query<{ pid: number }>(sql, [applicationName]);
    try {
      const stats = await Promise.all(rows.map(({ pid }) => readFile(`/proc/${pid}/stat`, 'utf8')));
      // Fields 14 and 15 of proc(5), in ticks of 10 ms; the name before them may hold blanks.
      const ticks = stats.map((stat) =>
        stat
          .slice(stat.lastIndexOf(')') + 2)
          .split(' ')
          .slice(11, 13)
          .map(Number),
      );
      return ticks.flat().reduce((sum, tick) => sum + tick, 0) * 10;
    } catch {
      return undefined;
    }
  }

  async close(): Promise<void> {
    for (const close of this.#closers) await close();
    await this.#users?.end();
    await this.pool.query(`DROP SCHEMA IF EXISTS "${this.schema}" CASCADE`);
    await this.pool.end();
  }
}
