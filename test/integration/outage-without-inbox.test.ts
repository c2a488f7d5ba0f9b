import pg from 'pg';
import { afterAll, afterEach, beforeAll, expect, it } from 'vitest';
import type { KnexTransaction } from '../../src/database/transactions.ts';
import { HEADER } from '../../src/message/message.ts';
import { rawConsumer } from '../../src/router/raw-consumer.ts';
import { until } from '../support/consumer-kit.ts';
import { testDatabaseUrl } from '../support/servers.ts';
import { ServiceKit } from '../support/service-kit.ts';
import { TcpProxy } from '../support/tcp-proxy.ts';

let kit: ServiceKit;
let proxy: TcpProxy;
let role: string;
let databaseUrl: string;

beforeAll(async () => {
  kit = await ServiceKit.open('no_inbox_outage');
  proxy = await TcpProxy.to(testDatabaseUrl());
  await kit.service('migrate').migrate();
  await kit.pg.query(`CREATE TABLE ${kit.table('effect')} (id text)`);
  await kit.pg.query(
    `CREATE FUNCTION ${kit.table('no_room')}() RETURNS trigger LANGUAGE plpgsql AS $$
     BEGIN RAISE EXCEPTION 'could not extend file "base/5/16539"' USING ERRCODE = 'disk_full'; END $$`,
  );
  const { role: name, databaseUrl: url } = await kit.role();
  role = name;
  databaseUrl = proxy.url(url);
});
afterEach(() => {
  kit.log.lines.length = 0;
});
afterAll(async () => {
  await kit.close();
  await proxy.close();
});

const effects = (name: string) => kit.count('effect', `id LIKE '${name}-%'`);

/**
 * Writes the id of each message, which has no id of its own: with the inbox it is handled without it as well.
 * @param begin begins the transaction in which it writes
 * @param keeps whether its pool keeps connections on which a statement has failed
 */
function consuming(name: string, inbox: boolean, { begin = 'BEGIN', keeps = false } = {}) {
  const service = kit.service(name, { databaseUrl });
  const exchange = kit.exchangeName(name);
  const failures: unknown[] = [];
  /** The user's own, which we know nothing of. */
  const pool = new pg.Pool({ connectionString: databaseUrl, max: 5 });
  pool.on('error', () => undefined);
  // Of one that is lost while it is lent the pool hears nothing.
  pool.on('connect', (client) => client.on('error', () => undefined));
  const query = async (sql: string) => {
    if (!keeps) return await pool.query(sql);
    const client = await pool.connect();
    try {
      return await client.query(sql);
    } finally {
      await client.query('ROLLBACK').then(
        () => client.release(),
        (error: Error) => client.release(error),
      );
    }
  };
  service.messageRouter.consumer(
    exchange,
    'made',
  )(
    rawConsumer(
      async (_routingKey, body) => {
        const { id } = body as { id: string };
        await query(`${begin}; INSERT INTO ${kit.table('effect')} VALUES ('${id}'); COMMIT`).catch((error: unknown) => {
          failures.push(error);
          throw error;
        });
      },
      { inbox },
    ),
  );
  const send = () => {
    const ids = Array.from({ length: 5 }, (_, n) => `${name}-${n}`);
    for (const id of ids) kit.channel.publish(exchange, 'made', Buffer.from(JSON.stringify({ id })));
  };
  return { service, consumer: service.consumer(), pool, send, failures };
}

const disk = {
  begin: () =>
    kit.pg.query(
      `CREATE TRIGGER no_room BEFORE INSERT ON ${kit.table('effect')} EXECUTE FUNCTION ${kit.table('no_room')}()`,
    ),
  end: () => kit.pg.query(`DROP TRIGGER no_room ON ${kit.table('effect')}`),
};
const endSessions = () =>
  kit.pg.query('SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE usename = $1', [role]);
const writes = (are: 'taken' | 'refused') => async () => {
  await kit.pg.query(`ALTER ROLE ${role} SET default_transaction_read_only = ${are === 'taken' ? 'off' : 'on'}`);
  await endSessions();
};
const readOnly = { begin: writes('refused'), end: writes('taken') };
const refused = {
  begin: () => proxy.goDown(),
  end: () => proxy.listen(),
};

it.each([
  { what: 'disk is full', name: 'full', outage: disk, inbox: false },
  { what: 'disk is full', name: 'full-unknown', outage: disk, inbox: true },
  { what: 'server is down', name: 'down', outage: refused, inbox: false },
  { what: 'server refuses the writes', name: 'read-only', outage: readOnly, inbox: false },
  { what: 'server refuses the writes', name: 'read-only-unknown', outage: readOnly, inbox: true },
])(
  'messages of a handler without inbox wait while the $what of its database, and no attempt is counted ($name)',
  async ({ name, outage, inbox }) => {
    const { consumer, pool, send, failures } = consuming(name, inbox);
    await consumer.start();
    await outage.begin();
    send();
    await until(() => failures.length >= 5);
    await until(
      () => kit.log.lines.some(({ text }) => text.includes('infrastructure failed')) || consumer.stats.retried > 0,
    );
    expect(consumer.stats).toMatchObject({ handled: 0, retried: 0, failed: 0 });
    await outage.end();
    await until(async () => (await effects(name)) === 5);
    await consumer.stop();
    await pool.end();
    expect(consumer.stats).toMatchObject({ handled: 5, retried: 0, failed: 0 });
  },
);

it('a handler without inbox that writes in a transaction that it has begun READ ONLY has failed: its database takes writes', async () => {
  const { consumer, pool, send } = consuming('own', false, { begin: 'BEGIN READ ONLY' });
  await consumer.start();
  send();
  await until(() => consumer.stats.deadLettered.attempts === 5);
  await consumer.stop();
  await pool.end();
});

it('messages of a handler without inbox wait as well when the database takes writes again and the pool of the handler has kept its connections to where it did not', async () => {
  const { consumer, pool, send, failures } = consuming('keeps', false, { keeps: true });
  await consumer.start();
  await readOnly.begin();
  send();
  await until(() => failures.length >= 5);
  await kit.pg.query(`ALTER ROLE ${role} SET default_transaction_read_only = off`);
  const before = failures.length;
  await until(() => failures.length >= before + 5);
  expect(consumer.stats).toMatchObject({ handled: 0, retried: 0 });
  await endSessions();
  await until(async () => (await effects('keeps')) === 5);
  await consumer.stop();
  await pool.end();
  expect(consumer.stats).toMatchObject({ handled: 5, retried: 0, failed: 0 });
});

it('messages of a handler without inbox wait for a minute as well after a transaction of ours was refused, which makes our next question one to another server', async () => {
  const { service, consumer, pool, send } = consuming('aftermath', false, { keeps: true });
  await kit.pg.query(`ALTER ROLE ${role} SET default_transaction_read_only = on`);
  await Promise.all(Array.from({ length: 5 }, () => pool.query('SELECT pg_sleep(0.1)')));
  await consumer.start();
  const publish = () =>
    service.transaction(() =>
      service.publishAggregateEvent({ aggregate: kit.exchangeName('aftermath'), eventType: 'seen', payload: {} }),
    );
  await expect(publish()).rejects.toMatchObject({ outage: 'read-only' });
  await kit.pg.query(`ALTER ROLE ${role} SET default_transaction_read_only = off`);
  send();
  await until(() => consumer.stats.released + consumer.stats.rerunInPlace + consumer.stats.retried > 0);
  await endSessions();
  await until(async () => (await effects('aftermath')) === 5);
  await consumer.stop();
  await pool.end();
  expect(consumer.stats).toMatchObject({ handled: 5, retried: 0, failed: 0 });
});

it('a handler without inbox whose own pool has kept a connection to a server that refuses writes has failed once, when the database takes writes by now and the pool gives that connection up', async () => {
  const { consumer, pool, send } = consuming('kept', false);
  await kit.pg.query(`ALTER ROLE ${role} SET default_transaction_read_only = on`);
  await pool.query('SELECT 1');
  await kit.pg.query(`ALTER ROLE ${role} SET default_transaction_read_only = off`);
  await consumer.start();
  send();
  await until(async () => (await effects('kept')) === 5);
  await consumer.stop();
  await pool.end();
  expect(consumer.stats).toMatchObject({ handled: 5, retried: 1 });
});

/** Of a handler without inbox that writes by `service.transaction()`. */
function consumingInOurs(name: string, begin = '') {
  const service = kit.service(name, { databaseUrl });
  const exchange = kit.exchangeName(name);
  const table = kit.table('effect');
  service.messageRouter.consumer(
    exchange,
    'made',
  )(
    rawConsumer(
      async (_routingKey, body) => {
        const { id } = body as { id: string };
        await service.transaction((trx) =>
          (trx as KnexTransaction).raw(`${begin} INSERT INTO ${table} VALUES ('${id}')`),
        );
      },
      { inbox: false },
    ),
  );
  const send = (ids: readonly string[], headers = {}) => {
    for (const id of ids) kit.channel.publish(exchange, 'made', Buffer.from(JSON.stringify({ id })), { headers });
  };
  /** Connections that the service's pool has from then on. */
  const connect = () =>
    Promise.all(
      [1, 2, 3].map(() => service.transaction((trx) => (trx as KnexTransaction).raw('SELECT pg_sleep(0.1)'))),
    );
  return { consumer: service.consumer(), send, connect };
}

it.each([
  { name: 'ours-free', headers: {} },
  { name: 'ours-keyed', headers: { [HEADER.key]: 'a' } },
])(
  'a handler without inbox that makes a transaction of ours READ ONLY and writes has failed, whatever connections the pool has ($name)',
  async ({ name, headers }) => {
    const { consumer, send, connect } = consumingInOurs(name, 'SET TRANSACTION READ ONLY;');
    await connect();
    await consumer.start();
    send([`${name}-0`, `${name}-1`], headers);
    await until(() => consumer.stats.deadLettered.attempts + consumer.stats.deadLettered.parked === 2);
    await consumer.stop();
  },
);

it('messages of a handler without inbox that writes in a transaction of ours wait while our own connections lead to a server that refuses writes, though its address leads to another by now', async () => {
  const { consumer, send, connect } = consumingInOurs('moved');
  await kit.pg.query(`ALTER ROLE ${role} SET default_transaction_read_only = on`);
  await consumer.start();
  await connect();
  await kit.pg.query(`ALTER ROLE ${role} SET default_transaction_read_only = off`);
  const ids = Array.from({ length: 5 }, (_, n) => `moved-${n}`);
  send(ids);
  await until(async () => (await effects('moved')) === ids.length);
  await consumer.stop();
  expect(consumer.stats).toMatchObject({ handled: ids.length, retried: 0, failed: 0 });
  expect(consumer.stats.rerunInPlace + consumer.stats.released).toBeGreaterThan(0);
});
