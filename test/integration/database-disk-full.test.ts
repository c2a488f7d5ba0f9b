import { afterAll, afterEach, beforeAll, expect, it } from 'vitest';
import type { KnexTransaction } from '../../src/database/transactions.ts';
import { rawConsumer } from '../../src/router/raw-consumer.ts';
import { until } from '../support/consumer-kit.ts';
import { ServiceKit } from '../support/service-kit.ts';

/** As PostgreSQL words it; the second is of a query whose intermediate results have no room. */
const TABLE = 'could not extend file "base/5/16539": No space left on device';
const TEMPORARY = 'could not write to file "base/pgsql_tmp/pgsql_tmp31.0": No space left on device';

let kit: ServiceKit;
beforeAll(async () => {
  kit = await ServiceKit.open('disk_full');
  await kit.service('migrate').migrate();
  await kit.pg.query(`CREATE TABLE ${kit.table('effect')} (id text)`);
  await kit.pg.query(
    `CREATE FUNCTION ${kit.table('no_room')}() RETURNS trigger LANGUAGE plpgsql AS $$
     BEGIN RAISE EXCEPTION '%', TG_ARGV[0] USING ERRCODE = 'disk_full'; END $$`,
  );
});
afterEach(async () => {
  for (const table of ['effect', 'svc_comm_inbox', 'svc_comm_outbox']) await room(table);
  kit.log.lines.length = 0;
});
afterAll(() => kit.close());

const noRoom = (table: string, text = TABLE) =>
  kit.pg.query(
    `CREATE TRIGGER no_room BEFORE INSERT ON ${kit.table(table)} EXECUTE FUNCTION ${kit.table('no_room')}('${text}')`,
  );
const room = (table: string) => kit.pg.query(`DROP TRIGGER IF EXISTS no_room ON ${kit.table(table)}`);

async function consume(name: string, group: number) {
  const service = kit.service(name);
  const exchange = kit.exchangeName(name);
  const attempts: number[] = [];
  service.messageRouter.consumer(
    exchange,
    'made',
  )(
    rawConsumer(
      async (_routingKey, body, { transaction, attempt }) => {
        attempts.push(attempt);
        const { id } = body as { id: string };
        await (transaction as KnexTransaction).raw(`INSERT INTO ${kit.table('effect')} VALUES (?)`, [id]);
      },
      { group },
    ),
  );
  const consumer = service.consumer();
  await consumer.start();
  const send = (id: string) =>
    kit.channel.publish(exchange, 'made', Buffer.from(JSON.stringify({ id })), { messageId: id });
  return { consumer, send, attempts };
}

it.each([
  { table: 'svc_comm_inbox', group: 1 },
  { table: 'svc_comm_inbox', group: 8 },
  { table: 'effect', group: 1 },
  { table: 'effect', group: 8 },
])(
  "messages wait while the database's disk is full, and no attempt is counted: for $table, in groups of $group",
  async ({ table, group }) => {
    const name = `${table}-${group}`;
    const { consumer, send, attempts } = await consume(name, group);
    await noRoom(table);
    const ids = Array.from({ length: 5 }, (_, n) => `${name}-${n}`);
    for (const id of ids) send(id);
    const isTold = () =>
      kit.log.lines.some(({ fields }) => String((fields as { error?: unknown }).error).includes('no room on its disk'));
    await until(isTold);
    expect(consumer.stats).toMatchObject({ handled: 0, retried: 0, failed: 0 });
    await room(table);
    await until(async () => (await kit.count('effect', `id LIKE '${name}-%'`)) === ids.length);
    await consumer.stop();
    expect(consumer.stats).toMatchObject({ handled: ids.length, retried: 0, failed: 0 });
    expect(new Set(attempts)).toEqual(new Set([1]));
  },
);

it('a message whose query fills the disk with its temporary files has its attempts like any that fails', async () => {
  const { consumer, send } = await consume('temporary', 1);
  await noRoom('effect', TEMPORARY);
  send('temporary');
  await until(() => consumer.stats.retried === 1);
  await consumer.stop();
});

it('who publishes is told that the disk of the database is full', async () => {
  const service = kit.service('asks');
  await noRoom('svc_comm_outbox');
  await expect(
    service.transaction(() =>
      service.publishAggregateEvent({ aggregate: kit.exchangeName('told'), eventType: 'made', payload: {} }),
    ),
  ).rejects.toMatchObject({
    code: 'SVC_COMM_DATABASE_UNAVAILABLE',
    outage: 'disk-full',
    message: expect.stringContaining(`no room on its disk: ${TABLE}`),
  });
});
