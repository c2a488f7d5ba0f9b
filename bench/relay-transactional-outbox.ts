import { setImmediate, setTimeout as sleep } from 'node:timers/promises';
import { type BenchBroker, publishConfirmed } from './broker.ts';
import type { BenchDatabase } from './database.ts';
import { EVENT_TYPE } from './event.ts';
import { type Run, Stopwatch } from './harness.ts';
import { Peer } from './peer.ts';

export const PG_TRANSACTIONAL_OUTBOX = new Peer('pg-transactional-outbox', 'dist/index.js');

const BATCH = 100;
/** Of the transactions that it opens for a message each. */
const CONNECTIONS = 20;

interface Message {
  readonly id: string;
  readonly payload: object;
}

type Listen = (config: object, handler: object, logger: unknown, strategies?: object) => [() => Promise<void>];

interface TransactionalOutbox {
  readonly DatabaseSetup: Readonly<Record<string, (config: object) => string>>;
  getDisabledLogger(): unknown;
  initializePollingMessageListener: Listen;
  initializeReplicationMessageListener: Listen;
  createReplicationFullConcurrencyController(): unknown;
}

/**
 * The next batch when the one before is done. Its own strategy polls anew for each message that is done, and begins with as many
 * polls for one as a batch has; and a poll locks rows that a handler is about to lock, which then waits for nextMessagesLockInMs.
 */
async function wholeBatches(inWork: number): Promise<number> {
  if (inWork === 0) return BATCH;
  await setImmediate();
  return inWork;
}

/** How it hears of messages; replication needs wal_level = logical. */
export type Way = 'polling' | 'replication';

/**
 * pg-transactional-outbox with the settings that were fastest: whole batches of 100 of messages that may go in parallel (500 were
 * no faster); replication with full concurrency. Its guards against poisonous messages are off, and no order is kept.
 */
export async function transactionalOutboxRelay(broker: BenchBroker, database: BenchDatabase, way: Way) {
  const peer = await PG_TRANSACTIONAL_OUTBOX.load<TransactionalOutbox>();
  const setup = peer.DatabaseSetup;
  const name = `${database.schema}_${way}`;
  const applicationName = `${name} peer`;
  const table = `"${name}".outbox`;
  const config = {
    outboxOrInbox: 'outbox',
    database: 'unused',
    schema: name,
    table: 'outbox',
    listenerRole: 'current_user',
    publication: name,
    replicationSlot: name,
    nextMessagesName: 'next_messages',
  };
  const sql = (part: string) => setup[part]?.(config) ?? '';
  await database.pool.query(sql('dropAndCreateTable'));
  if (way === 'polling') await database.pool.query(sql('createPollingFunction') + sql('setupPollingIndexes'));
  else {
    await database.pool.query(`CREATE PUBLICATION "${name}" FOR TABLE ${table} WITH (publish = 'insert')`);
    await database.pool.query(`SELECT pg_create_logical_replication_slot('${name}', 'pgoutput')`);
  }
  let handled = 0;
  const handler = {
    async handle({ id, payload }: Message) {
      await publishConfirmed(broker, EVENT_TYPE, Buffer.from(JSON.stringify(payload)), id);
      handled += 1;
    },
  };
  const connection = { connectionString: database.url, application_name: applicationName };
  const listenerConfig = {
    outboxOrInbox: 'outbox',
    dbListenerConfig: connection,
    dbHandlerConfig: { ...connection, max: CONNECTIONS },
    settings: {
      dbSchema: name,
      dbTable: 'outbox',
      enableMaxAttemptsProtection: false,
      enablePoisonousMessageProtection: false,
      messageCleanupIntervalInMs: 0,
      nextMessagesFunctionSchema: name,
      nextMessagesFunctionName: 'next_messages',
      nextMessagesBatchSize: BATCH,
      // Less than its 5 s: so long waits a message whose row was locked by a poll when its handler came.
      nextMessagesLockInMs: 1_000,
      nextMessagesPollingIntervalInMs: 100,
      dbPublication: name,
      dbReplicationSlot: name,
    },
  };
  const logger = peer.getDisabledLogger();
  const [shutDown] =
    way === 'polling'
      ? peer.initializePollingMessageListener(listenerConfig, handler, logger, {
          batchSizeStrategy: wholeBatches,
        })
      : peer.initializeReplicationMessageListener(listenerConfig, handler, logger, {
          concurrencyStrategy: peer.createReplicationFullConcurrencyController(),
        });
  return {
    /** From the commit of so many messages to the last one marked as processed. */
    async run(count: number): Promise<Run> {
      await database.pool.query(`TRUNCATE ${table}`);
      handled = 0;
      const before = await database.cpuMs(applicationName);
      const insert = `INSERT INTO ${table} (id, aggregate_type, aggregate_id, message_type, concurrency, payload)
        SELECT gen_random_uuid(), 'bench', n::text, $1, 'parallel', $2::jsonb FROM generate_series(1, $3::int) n`;
      await database.fill(table, insert, [EVENT_TYPE, broker.body.toString(), count]);
      const watch = new Stopwatch();
      watch.start();
      while (handled < count) await sleep(2);
      const open = `SELECT count(*) FROM ${table} WHERE processed_at IS NULL`;
      while (Number((await database.pool.query(open)).rows[0].count) > 0) await sleep(2);
      const run = watch.stop(count);
      const after = await database.cpuMs(applicationName);
      if (handled !== count) throw new Error(`pg-transactional-outbox handled ${handled} of ${count}`);
      return { ...run, otherCpuMs: before === undefined || after === undefined ? undefined : after - before };
    },
    async stop() {
      await shutDown();
      if (way === 'replication') {
        const drop = `SELECT pg_drop_replication_slot(slot_name) FROM pg_replication_slots WHERE slot_name = $1 AND NOT active`;
        while ((await database.pool.query(drop, [name])).rowCount === 0) await sleep(50);
        await database.pool.query(`DROP PUBLICATION "${name}"`);
      }
      await database.pool.query(`DROP SCHEMA "${name}" CASCADE`);
    },
  };
}
