import { afterAll, afterEach, beforeAll, expect, it, onTestFinished } from 'vitest';
import type { KnexTransaction } from '../../src/database/transactions.ts';
import { rawConsumer } from '../../src/router/raw-consumer.ts';
import { arg } from '../../src/task/argument.ts';
import { task } from '../../src/task/definition.ts';
import { taskRegistry } from '../../src/task/registry.ts';
import { until } from '../support/consumer-kit.ts';
import { eventually } from '../support/eventually.ts';
import { effectConsumer, expectToWait } from '../support/outage.ts';
import { ServiceKit } from '../support/service-kit.ts';

let kit: ServiceKit;
let role: string;
let databaseUrl: string;
beforeAll(async () => {
  kit = await ServiceKit.open('read_only');
  await kit.service('migrate').migrate();
  await kit.pg.query(`CREATE TABLE ${kit.table('effect')} (id text)`);
  ({ role, databaseUrl } = await kit.role());
});
afterEach(async () => {
  await writable(true);
  kit.log.lines.length = 0;
});
afterAll(() => kit.close());

const isRefused = () =>
  kit.log.lines.some(({ fields }) => {
    const { error } = fields as { error?: unknown };
    return error instanceof Error && error.message.includes('refuses writes');
  });

/** For sessions that begin from now on, as after a switch of the address: those that are there keep what they have. */
const writable = (is: boolean) =>
  kit.pg.query(`ALTER ROLE ${role} SET default_transaction_read_only = ${is ? 'off' : 'on'}`);

/** For those that have connections. */
const endSessions = () =>
  kit.pg.query('SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE usename = $1', [role]);

it.each([1, 8])(
  'messages wait while the database refuses writes, no attempt is counted, and new connections handle them when it takes some (group %i)',
  async (group) => {
    const name = `events${group}`;
    const consuming = effectConsumer(kit, { name, group, settings: { databaseUrl } });
    await writable(false);
    await consuming.consumer.start();
    await expectToWait(kit, consuming, { name, outage: { isTold: isRefused, end: () => writable(true) } });
  },
);

it('who submits a task or publishes then is told that the database refuses writes, and nothing is half written', async () => {
  const service = kit.service('asks', { databaseUrl });
  const sum = task({ name: 'sum', args: { x: arg.integer() } }, ({ x }) => x);
  taskRegistry.add(sum);
  await writable(false);
  const tasks = await service.tasks();
  const refused = { code: 'SVC_COMM_DATABASE_UNAVAILABLE', message: expect.stringContaining('refuses writes') };
  const publish = () =>
    service.transaction(() =>
      service.publishAggregateEvent({ aggregate: kit.exchangeName('told'), eventType: 'made', payload: {} }),
    );
  await expect(tasks.submit('sum', { x: 1 })).rejects.toMatchObject(refused);
  await expect(publish()).rejects.toMatchObject(refused);
  expect([await kit.count('svc_comm_task'), await kit.count('svc_comm_outbox')]).toEqual([0, 0]);
  await writable(true);
  await endSessions();
  // One that is begun before the end of its connection has been heard of says so.
  const taken = await eventually('it is taken', () => tasks.submit('sum', { x: 1 }).catch(() => undefined));
  expect(taken).toMatchObject({ wasKnown: false });
  await publish();
});

it('who submits a task in a transaction is told why it cannot be submitted, as an outage, when its client has no connection', async () => {
  const service = kit.service('full', { databaseUrl, wait: false });
  await service.transaction(async () => undefined);
  await kit.pg.query(`ALTER ROLE ${role} CONNECTION LIMIT 0`);
  onTestFinished(async () => void (await kit.pg.query(`ALTER ROLE ${role} CONNECTION LIMIT -1`)));
  const submitting = service.transaction(async () => {
    const tasks = await service.tasks();
    await until(() => tasks.state === 'idle');
    return tasks.submit('sum', { x: 1 });
  });
  await expect(submitting).rejects.toMatchObject({ code: 'SVC_COMM_DATABASE_UNAVAILABLE' });
});

it('a transaction that somebody has made READ ONLY fails by itself: those beside it are committed', async () => {
  const service = kit.service('beside', { databaseUrl, pool: { max: 4 } });
  const insert = (id: string, begin: string) =>
    service.transaction((trx) =>
      (trx as KnexTransaction).raw(`${begin} INSERT INTO ${kit.table('effect')} VALUES ('${id}')`),
    );
  const rounds = 20;
  for (let round = 0; round < rounds; round += 1) {
    const refused = insert('beside-refused', 'SET TRANSACTION READ ONLY;');
    const others = Array.from({ length: 12 }, () => insert('beside-kept', ''));
    await expect(refused).rejects.toMatchObject({ code: '25006' });
    await Promise.all(others);
  }
  expect(await kit.count('effect', `id LIKE 'beside-%'`)).toBe(12 * rounds);
});

it.each([1, 8])(
  'a handler that makes its transaction READ ONLY and publishes in it has failed: its message goes to the dead letters (group %i)',
  async (group) => {
    const name = `mistaken${group}`;
    const service = kit.service(name, { databaseUrl });
    const exchange = kit.exchangeName(name);
    service.messageRouter.consumer(
      exchange,
      'made',
    )(
      rawConsumer(
        async (_routingKey, _body, { transaction }) => {
          await (transaction as KnexTransaction).raw('SET TRANSACTION READ ONLY');
          await service.publishAggregateEvent({ aggregate: exchange, eventType: 'seen', payload: {} });
        },
        { group },
      ),
    );
    const consumer = service.consumer();
    await consumer.start();
    for (const messageId of ['one', 'two']) kit.channel.publish(exchange, 'made', Buffer.from('{}'), { messageId });
    await until(() => consumer.stats.deadLettered.attempts === 2);
    await consumer.stop();
    expect(await kit.count('svc_comm_outbox', `exchange = '${exchange}'`)).toBe(0);
  },
);

it('a producer whose own statement is refused gets on by itself when another server takes writes, whatever it had connections to', async () => {
  const service = kit.service('producer', { databaseUrl });
  const insert = () =>
    service.transaction((trx) =>
      (trx as KnexTransaction).raw(`INSERT INTO ${kit.table('effect')} VALUES ('produced')`),
    );
  await writable(false);
  const refused = { code: 'SVC_COMM_DATABASE_UNAVAILABLE', outage: 'read-only', cause: { code: '25006' } };
  for (const outcome of await Promise.allSettled([1, 2, 3].map(insert))) {
    expect(outcome).toMatchObject({ status: 'rejected', reason: refused });
  }
  await writable(true);
  // None of those that there were then.
  await Promise.all([1, 2, 3, 4].map(insert));
});

it('a relay whose database refuses writes makes new connections until one takes them', async () => {
  const service = kit.service('relay', { databaseUrl });
  const exchange = kit.exchangeName('relayed');
  const queue = kit.exchangeName('receiver');
  await kit.channel.assertExchange(exchange, 'topic');
  await kit.channel.assertQueue(queue);
  await kit.channel.bindQueue(queue, exchange, '#');
  await service.transaction(() =>
    service.publishAggregateEvent({ aggregate: exchange, eventType: 'made', payload: {} }),
  );
  await writable(false);
  const relay = service.relay();
  const started = relay.start();
  await until(() => isRefused());
  await writable(true);
  await started;
  await until(async () => (await kit.channel.checkQueue(queue)).messageCount === 1);
  await relay.stop();
});

it('a relay that must not wait says at the start that the database refuses writes', async () => {
  const service = kit.service('impatient', { databaseUrl, wait: false });
  await writable(false);
  await expect(service.relay().start()).rejects.toMatchObject({
    code: 'SVC_COMM_DATABASE_UNAVAILABLE',
    message: expect.stringContaining('refuses writes'),
  });
});
