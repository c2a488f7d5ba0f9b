import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest';
import { BrokerConnection } from '../../src/broker/connection.ts';
import { BrokerPublisher } from '../../src/broker/publisher.ts';
import { BrokerKit } from '../support/broker-kit.ts';
import { RecordingPipe, type RelayKit, relayKit, until } from '../support/relay-kit.ts';
import { testBrokerUrl } from '../support/servers.ts';
import { TcpProxy } from '../support/tcp-proxy.ts';

let kit: RelayKit;
let broker: BrokerKit;
beforeAll(async () => {
  kit = await relayKit('relay_confirm');
  broker = await BrokerKit.open('relay_confirm');
});
const stops: (() => Promise<unknown>)[] = [];
afterEach(async () => {
  for (const stop of stops.splice(0).toReversed()) await stop();
  await kit.db.pg.query(`TRUNCATE ${kit.db.table('svc_comm_outbox')}`);
});
afterAll(async () => {
  await broker.close();
  await kit.close();
});
const isEmpty = async () => (await kit.db.count('svc_comm_outbox')) === 0;

async function publisherBy(proxy: TcpProxy): Promise<BrokerPublisher> {
  const backoff = { initialMs: 20, maxMs: 100 };
  const connection = new BrokerConnection({ name: 'relay confirm', url: proxy.url(testBrokerUrl()), backoff });
  const publisher = new BrokerPublisher({ connection, declare: 'none' });
  await connection.start();
  stops.push(() => connection.stop());
  await publisher.start();
  stops.push(() => publisher.stop());
  return publisher;
}

async function proxied(): Promise<TcpProxy> {
  const proxy = await TcpProxy.to(testBrokerUrl());
  stops.push(() => proxy.close());
  return proxy;
}

describe('a relay on RabbitMQ', () => {
  it('keeps a row whose message was lost on its way, and sends it when the broker can be reached', async () => {
    const exchange = await broker.exchange('way');
    const queue = await broker.queue('way.q');
    await broker.channel.bindQueue(queue, exchange, '#');
    const proxy = await proxied();
    const publisher = await publisherBy(proxy);
    const { relay } = kit.relay(publisher);
    stops.push(() => relay.stop());
    await relay.start();
    proxy.fallSilent();
    await kit.insert([{ exchange, key: 'a', body: '1' }]);
    await until('it is sent', () => publisher.stats.published === 1);
    // What the silent wire holds goes down with it.
    proxy.cut();
    proxy.heal();
    await until('the outbox is empty', isEmpty);
    expect(await broker.drain(queue)).toEqual(['1']);
  });

  it('lets no message overtake an earlier one of its key that the broker has not taken', async () => {
    const exchange = await broker.exchange('key');
    const queue = await broker.queue('key.q');
    await broker.channel.bindQueue(queue, exchange, 'bound');
    const { relay } = kit.relay(await publisherBy(await proxied()), { unroutable: 'keep' });
    stops.push(() => relay.stop());
    await kit.insert([
      { exchange, key: 'a', route: 'bound.later', body: 'a1' },
      { exchange, key: 'a', route: 'bound', body: 'a2' },
      { exchange, key: 'b', route: 'bound', body: 'b1' },
    ]);
    await relay.start();
    await until('the first came back', async () => (await kit.db.count('svc_comm_outbox', 'attempts = 1')) === 1);
    // Behind all that was sent before it.
    await until('the other key went on', async () => (await broker.count(queue)) > 0);
    await broker.channel.bindQueue(queue, exchange, 'bound.later');
    await kit.db.pg.query(
      `UPDATE ${kit.db.table('svc_comm_outbox')} SET next_attempt_at = clock_timestamp() WHERE attempts > 0`,
    );
    await until('the outbox is empty', isEmpty);
    expect((await broker.drain(queue)).filter((body) => body.startsWith('a'))).toEqual(['a1', 'a2']);
  });
});

it('a relay sends nothing under a lease that ran out since the row was read', async () => {
  const pipe = new RecordingPipe();
  pipe.isDown = true;
  const { relay } = kit.relay(pipe, { leaseMs: 1000 });
  stops.push(() => relay.stop());
  await relay.start();
  await kit.insert(Array.from({ length: 50 }, (_, n) => ({ key: `k${n}`, body: String(n) })));
  await until('the rows are read', () => relay.held === 50);
  // Somebody holds the rows of the leases: renewals end by their lock timeout.
  const client = await kit.db.pg.connect();
  await client.query('BEGIN');
  await client.query(`SELECT 1 FROM ${kit.db.table('svc_comm_relay_lease')} FOR UPDATE`);
  await until('its leases have run out', () => relay.partitions.length === 0);
  pipe.isDown = false;
  await until('it holds nothing any more', () => relay.held === 0);
  const sentWithoutLease = pipe.bodies();
  await client.query('COMMIT');
  client.release();
  await until('it goes on under new leases', isEmpty);
  expect(sentWithoutLease).toEqual([]);
  expect(new Set(pipe.bodies()).size).toBe(50);
});

it.each(['confirmed', 'refused'] as const)(
  'a row that has the id of one that was sent is sent as well, and not taken for it when that is %s: a promoted standby gives ids again',
  async (kind) => {
    const pipe = new RecordingPipe();
    pipe.decide = () => undefined;
    const { relay } = kit.relay(pipe, { pollMs: 50 });
    stops.push(() => relay.stop());
    await relay.start();
    const [id] = await kit.insert([{ key: 'a', body: 'lost with the old primary' }]);
    await until('it is sent', () => pipe.offers.length === 1);
    const outbox = kit.db.table('svc_comm_outbox');
    await kit.db.pg.query(`DELETE FROM ${outbox}`);
    await kit.db.pg.query(
      `INSERT INTO ${outbox} (id, part, order_key, message_id, exchange, routing_key, body) OVERRIDING SYSTEM VALUE
       VALUES ($1, hashtext('a') & 63, 'a', gen_random_uuid(), 'thing', 'made', 'of the new one')`,
      [id],
    );
    pipe.offers[0]?.settle(kind === 'confirmed' ? { kind } : { kind, error: new Error('no') });
    await until('the other is sent', () => pipe.offers.length === 2);
    expect(pipe.bodies()[1]).toBe('of the new one');
    expect(await kit.db.count('svc_comm_outbox', 'attempts = 0')).toBe(1);
    pipe.offers[1]?.settle({ kind: 'confirmed' });
    await until('the outbox is empty', isEmpty);
  },
);
