import { afterAll, beforeAll, expect, it } from 'vitest';
import { createService } from '../../src/assemble.ts';
import { rawConsumer } from '../../src/router/raw-consumer.ts';
import { BrokerKit, LogLines } from '../support/broker-kit.ts';
import { until } from '../support/consumer-kit.ts';
import { testBrokerUrl, uniqueName } from '../support/servers.ts';
import { type TestDatabase, testDatabase } from '../support/test-database.ts';

let database: TestDatabase;
let kit: BrokerKit;
beforeAll(async () => {
  database = await testDatabase('retention');
  kit = await BrokerKit.open('retention');
});
afterAll(async () => {
  await kit.close();
  await database.close();
});

const WARNING = 'events wait in the outbox for nearly as long as the inbox remembers';

it.each([
  ['6 days and an hour', 1],
  ['5 days', 0],
])(
  'a consumer that starts while something has waited for %s warns %i times that a week of inbox is short',
  async (age, warnings) => {
    await database.pg.query(`TRUNCATE ${database.table('svc_comm_outbox')}`);
    await database.pg.query(
      `INSERT INTO ${database.table('svc_comm_outbox')} (part, message_id, exchange, routing_key, body, created_at)
     VALUES (0, gen_random_uuid(), 'x', 'k', '{}', now() - $1::interval)`,
      [age.replace(' and an', ' 1')],
    );
    await database.pg.query(
      `INSERT INTO ${database.table('svc_comm_inbox')} VALUES ('q', 's', 'm', 'done', now() - interval '8 days')`,
    );
    const logger = new LogLines();
    const queue = kit.queueName(uniqueName('q'));
    for (const derived of ['.dead', '.retry.1000']) kit.queueName(`${queue.slice(kit.prefix.length + 1)}${derived}`);
    const service = createService(
      {
        appId: 'orders',
        brokerUrl: testBrokerUrl(),
        databaseUrl: database.url,
        schema: database.schema,
        queue,
        retry: { attempts: 2, delays: ['1s'] },
      },
      { logger },
    );
    service.messageRouter.defaultConsumer(rawConsumer(async () => undefined));
    const consumer = service.consumer();
    await consumer.start();
    // The comparison comes before the deletion.
    await until(async () => (await database.count('svc_comm_inbox')) === 0);
    await consumer.stop();
    await service.close();
    expect(logger.count(WARNING)).toBe(warnings);
  },
);

const all = 'SELECT, INSERT, UPDATE, DELETE';

it.each([
  ['may not use our tables', [], 'no SELECT on svc_comm_inbox'],
  ['may read them only', [`GRANT SELECT ON ALL TABLES IN SCHEMA $S TO $R`], 'no INSERT on svc_comm_inbox'],
  [
    'may not mark dead letters',
    [`GRANT ${all} ON ALL TABLES IN SCHEMA $S TO $R`, `REVOKE UPDATE ON $S.svc_comm_inbox FROM $R`],
    'no UPDATE on svc_comm_inbox',
  ],
  [
    'is kept out by row level security',
    [`GRANT ${all} ON ALL TABLES IN SCHEMA $S TO $R`, `ALTER TABLE $S.svc_comm_inbox ENABLE ROW LEVEL SECURITY`],
    'row level security with no policy for SELECT on svc_comm_inbox',
  ],
])(
  'a consumer whose database user %s does not start: each message would end as a dead letter',
  async (_what, statements, says) => {
    const role = `${database.schema}_weak`;
    const url = new URL(database.url);
    url.username = role;
    await database.pg.query(`CREATE ROLE ${role} LOGIN`);
    await database.pg.query(`GRANT USAGE ON SCHEMA "${database.schema}" TO ${role}`);
    for (const statement of statements) {
      await database.pg.query(statement.replaceAll('$S', `"${database.schema}"`).replaceAll('$R', role));
    }
    const service = createService({
      ...{ appId: 'weak', brokerUrl: testBrokerUrl(), databaseUrl: url.href, schema: database.schema },
      ...{ queue: uniqueName('weak'), declare: 'none', logLevel: 'silent' },
    });
    service.messageRouter.defaultConsumer(rawConsumer(async () => undefined));
    try {
      const started = service.consumer().start();
      await expect(started).rejects.toMatchObject({ code: 'SVC_COMM_DATABASE_RIGHTS' });
      await expect(started).rejects.toThrow(/GRANT/);
      await expect(started).rejects.toThrow(says);
    } finally {
      await service.close();
      await database.pg.query(`DROP OWNED BY ${role}; DROP ROLE ${role}`);
      await database.pg.query(`ALTER TABLE ${database.table('svc_comm_inbox')} DISABLE ROW LEVEL SECURITY`);
    }
  },
);
