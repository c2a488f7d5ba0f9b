import { postgresBinaries } from '../../test/support/servers/binaries.ts';
import { startOwnPostgres } from '../../test/support/servers/own-postgres.ts';
import { BenchBroker } from '../broker.ts';
import { compiled } from '../compiled.ts';
import { BenchDatabase } from '../database.ts';
import { EVENT_TYPE, fullPayload, type Payload } from '../event.ts';

const KEYS = 1_000;

/** Producer, relay and consumer in this process, a database with its vacuum and a queue beside it. */
export interface World {
  readonly broker: BenchBroker;
  readonly database: BenchDatabase;
  /** Events whose handler's transaction was committed. */
  readonly handled: number;
  /** Commits one event, with a row of the producer's own. */
  produce(n: number): Promise<void>;
  /** How often the handlers' effects say that events were handled: each once. */
  effects(): Promise<number>;
  close(): Promise<void>;
}

export async function openWorld(): Promise<World> {
  // A machine's own server may have its vacuum off, or others' work in it.
  const server = (await postgresBinaries()) ? await startOwnPostgres({ settings: { autovacuum: 'on' } }) : undefined;
  const database = await BenchDatabase.open('soak', server?.url);
  const { rows } = await database.pool.query<{ autovacuum: string }>('SHOW autovacuum');
  if (rows[0]?.autovacuum !== 'on') throw new Error('this database has autovacuum off: dead rows would only grow');
  const broker = await BenchBroker.open('soak');
  broker.owns(broker.name);
  const { createService, eventConsumer } = await compiled('index');
  const { url: databaseUrl, schema } = database;
  const settings = { appId: broker.name, brokerUrl: broker.url, queue: broker.name, databaseUrl, schema };
  const service = createService({ ...settings, logLevel: 'error' });
  const [effect, order] = [database.table('effect'), database.table('orders')];
  await database.pool.query(`CREATE TABLE ${effect} (key text PRIMARY KEY, seen bigint NOT NULL);
    CREATE TABLE ${order} (key text PRIMARY KEY, version bigint NOT NULL)`);
  const upsert = (table: string, column: string) =>
    `INSERT INTO ${table} AS t VALUES (?, 1) ON CONFLICT (key) DO UPDATE SET ${column} = t.${column} + 1`;
  const [countEffect, changeOrder] = [upsert(effect, 'seen'), upsert(order, 'version')];
  service.messageRouter.consumer(
    broker.name,
    'create.*',
  )(
    eventConsumer(async (_payload: Payload, _event, { key = '', transaction }) => {
      await (transaction as { raw(sql: string, values: unknown[]): Promise<unknown> }).raw(countEffect, [key]);
    }),
  );
  const [relay, consumer] = [service.relay(), service.consumer()];
  await Promise.all([relay.start(), consumer.start()]);
  const payload = fullPayload(broker.name);
  return {
    broker,
    database,
    get handled() {
      return consumer.stats.handled;
    },
    async produce(n) {
      const key = `k${n % KEYS}`;
      await service.transaction(async (trx) => {
        await trx.raw(changeOrder, [key]);
        await service.publishAggregateEvent({ aggregate: broker.name, eventType: EVENT_TYPE, payload, key });
      });
    },
    async effects() {
      const { rows } = await database.pool.query<{ seen: string }>(
        `SELECT coalesce(sum(seen), 0) AS seen FROM ${effect}`,
      );
      return Number(rows[0]?.seen);
    },
    async close() {
      await service.close();
      await database.close();
      await broker.close();
      await server?.remove();
    },
  };
}
