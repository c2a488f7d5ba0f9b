import { randomUUID } from 'node:crypto';
import type { PoolClient } from 'pg';
import pg from 'pg';
import type { BenchDatabase } from './database.ts';
import { Peer } from './peer.ts';

export const GRAPHILE_WORKER = new Peer('graphile-worker', 'dist/index.js');

/** What we use of its types: it is installed beside the bench only. */
interface Graphile {
  run(options: object): Promise<{ stop(): Promise<void>; addJob(name: string, payload: object): Promise<unknown> }>;
  Logger: new (factory: () => () => void) => object;
}

/**
 * graphile-worker as its users have it: jobs in PostgreSQL, the worker woken by LISTEN, the function in the worker's own
 * process. It keeps no results, so that the function writes the result and notifies, as they do who want one.
 * @param concurrency jobs at once
 */
export async function graphile(database: BenchDatabase, concurrency: number) {
  const { run, Logger } = await GRAPHILE_WORKER.load<Graphile>();
  const schema = `${database.schema}_graphile`;
  const results = `"${schema}_results"`;
  await database.pool.query(`CREATE TABLE ${results} (id uuid PRIMARY KEY, result text NOT NULL)`);
  const pgPool = new pg.Pool({ connectionString: database.url, max: concurrency + 4 });
  const waiting = new Map<string, (value: unknown) => void>();
  const listener = new pg.Client({ connectionString: database.url });
  await listener.connect();
  listener.on('notification', ({ payload = '' }) => {
    const [id = '', value = 'null'] = payload.split(' ');
    waiting.get(id)?.(JSON.parse(value));
    waiting.delete(id);
  });
  await listener.query(`LISTEN "${schema}"`);
  const double = async ({ id, n }: { id: string; n: number }, helpers: { withPgClient: WithClient }) => {
    await helpers.withPgClient((client) =>
      client.query({
        name: 'result',
        text: `WITH kept AS (INSERT INTO ${results} VALUES ($1, $2)) SELECT pg_notify('${schema}', $1::text || ' ' || $2)`,
        values: [id, JSON.stringify(n * 2)],
      }),
    );
  };
  const runner = await run({
    pgPool,
    schema,
    concurrency,
    noHandleSignals: true,
    logger: new Logger(() => () => undefined),
    taskList: { double },
  });
  return {
    call: (n: number) =>
      new Promise((resolve, reject) => {
        const id = randomUUID();
        waiting.set(id, resolve);
        runner.addJob('double', { id, n }).catch(reject);
      }),
    async stop() {
      await runner.stop();
      await listener.end();
      await pgPool.end();
      await database.pool.query(`DROP SCHEMA IF EXISTS "${schema}" CASCADE; DROP TABLE ${results}`);
    },
  };
}

type WithClient = (work: (client: PoolClient) => Promise<unknown>) => Promise<unknown>;
