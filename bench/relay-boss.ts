import { type BenchBroker, publishConfirmed } from './broker.ts';
import type { BenchDatabase } from './database.ts';
import { EVENT_TYPE } from './event.ts';
import { type Run, Stopwatch } from './harness.ts';
import { Peer } from './peer.ts';

export const PG_BOSS = new Peer('pg-boss', 'src/index.js');

const QUEUE = 'relay';
const BATCH = 1000;
/** Tried: 1, 2, 4 and 8 at once. */
const WORKERS = 4;

interface Job {
  readonly id: string;
  readonly data: object;
}

interface Boss {
  on(event: 'error', listener: (error: unknown) => void): void;
  start(): Promise<unknown>;
  stop(options: object): Promise<void>;
  createQueue(name: string): Promise<void>;
  fetch(name: string, options: object): Promise<Job[]>;
  complete(name: string, ids: readonly string[]): Promise<void>;
}

/**
 * pg-boss as a relay: each event is a job, and four workers fetch a batch, publish it, and complete it when all of it is
 * confirmed. No order is kept.
 */
export async function bossRelay(broker: BenchBroker, database: BenchDatabase) {
  const { default: PgBoss } = await PG_BOSS.load<{ default: new (options: object) => Boss }>();
  const schema = `${database.schema}_boss`;
  const applicationName = `${schema} peer`;
  const boss = new PgBoss({
    connectionString: database.url,
    application_name: applicationName,
    schema,
    // Nothing of its own at work beside what is measured.
    supervise: false,
    schedule: false,
  });
  boss.on('error', (error) => console.error(error));
  await boss.start();
  await boss.createQueue(QUEUE);
  const job = `"${schema}".job`;
  const worker = async (wanted: number, done: { count: number }) => {
    while (done.count < wanted) {
      const jobs = await boss.fetch(QUEUE, { batchSize: BATCH, priority: false });
      if (jobs.length === 0) return;
      await Promise.all(
        jobs.map(({ id, data }) => publishConfirmed(broker, EVENT_TYPE, Buffer.from(JSON.stringify(data)), id)),
      );
      await boss.complete(
        QUEUE,
        jobs.map(({ id }) => id),
      );
      done.count += jobs.length;
    }
  };
  return {
    /** From the commit of so many jobs to the last one completed. */
    async run(count: number): Promise<Run> {
      await database.pool.query(`TRUNCATE ${job}`);
      await database.pool.query(`VACUUM ${job}`);
      const before = await database.cpuMs(applicationName);
      const insert = `INSERT INTO ${job} (name, data, policy) SELECT $1, $2::jsonb, 'standard' FROM generate_series(1, $3::int)`;
      await database.fill(job, insert, [QUEUE, broker.body.toString(), count]);
      const done = { count: 0 };
      const watch = new Stopwatch();
      watch.start();
      await Promise.all(Array.from({ length: WORKERS }, () => worker(count, done)));
      const run = watch.stop(count);
      const after = await database.cpuMs(applicationName);
      const { rows } = await database.pool.query(`SELECT count(*) FROM ${job} WHERE state = 'completed'`);
      if (Number(rows[0].count) !== count) throw new Error(`pg-boss completed ${rows[0].count} of ${count}`);
      return { ...run, otherCpuMs: before === undefined || after === undefined ? undefined : after - before };
    },
    async stop() {
      await boss.stop({ graceful: false, wait: true });
      await database.pool.query(`DROP SCHEMA "${schema}" CASCADE`);
    },
  };
}
