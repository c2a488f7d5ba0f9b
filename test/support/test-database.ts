import pg from 'pg';
import { migrate } from '../../src/database/migrate.ts';
import { DatabasePool } from '../../src/database/pool.ts';
import type { PoolOptions } from '../../src/database/pool-options.ts';
import { testDatabaseUrl, uniqueName } from './servers.ts';

export interface TestDatabase {
  readonly url: string;
  readonly schema: string;
  /** A pool as the SDK makes it, started. */
  readonly pool: DatabasePool;
  /** A pool of the test's own, to look on from outside. */
  readonly pg: pg.Pool;
  /** A table as SQL writes it. */
  table(name: string): string;
  count(table: string, where?: string): Promise<number>;
  /** Drops the schema and closes both pools. */
  close(): Promise<void>;
}

/** A schema of the test file's own, with our tables and a table `effect (id text)`. */
export async function testDatabase(prefix: string, options: Partial<PoolOptions> = {}): Promise<TestDatabase> {
  const url = typeof options.url === 'string' ? options.url : testDatabaseUrl();
  const schema = uniqueName(prefix);
  const pool = new DatabasePool({ applicationName: schema, ...options, url });
  await pool.start();
  await migrate(pool.knex, { schema });
  const outside = new pg.Pool({ connectionString: url, max: 20 });
  const table = (name: string): string => `"${schema}".${name}`;
  await outside.query(`CREATE TABLE ${table('effect')} (id text)`);
  return {
    url,
    schema,
    pool,
    pg: outside,
    table,
    async count(name, where = 'true') {
      const { rows } = await outside.query(`SELECT count(*)::int AS n FROM ${table(name)} WHERE ${where}`);
      return rows[0].n;
    },
    async close() {
      await outside.query(`DROP SCHEMA IF EXISTS "${schema}" CASCADE`);
      await Promise.all([outside.end(), pool.stop()]);
    },
  };
}
