import { afterAll, afterEach, beforeAll, expect, it } from 'vitest';
import { until } from '../support/consumer-kit.ts';
import { effectConsumer, expectToWait } from '../support/outage.ts';
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

const isTold = () =>
  kit.log.lines.some(({ fields }) => String((fields as { error?: unknown }).error).includes('no room on its disk'));

it.each([
  { table: 'svc_comm_inbox', group: 1 },
  { table: 'svc_comm_inbox', group: 8 },
  { table: 'effect', group: 1 },
  { table: 'effect', group: 8 },
])(
  "messages wait while the database's disk is full, and no attempt is counted: for $table, in groups of $group",
  async ({ table, group }) => {
    const name = `${table}-${group}`;
    const consuming = effectConsumer(kit, { name, group });
    await consuming.consumer.start();
    await noRoom(table);
    await expectToWait(kit, consuming, { name, outage: { isTold, end: () => room(table) } });
  },
);

it('a message whose query fills the disk with its temporary files has its attempts like any that fails', async () => {
  const { consumer, send } = effectConsumer(kit, { name: 'temporary', group: 1 });
  await consumer.start();
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
