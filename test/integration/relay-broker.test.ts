import amqp, { type Channel, type ChannelModel } from 'amqplib';
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest';
import { BrokerConnection } from '../../src/broker/connection.ts';
import { BrokerPublisher } from '../../src/broker/publisher.ts';
import { knexTransactions, resolveTransactions } from '../../src/database/transactions.ts';
import type { DeclareMode } from '../../src/message/topology.ts';
import { Outbox } from '../../src/outbox/outbox.ts';
import { type RelayKit, type RowSpec, relayKit, until } from '../support/relay-kit.ts';
import { testBrokerUrl, uniqueName } from '../support/servers.ts';

let kit: RelayKit;
let model: ChannelModel;
let channel: Channel;
const exchange = uniqueName('relay_broker');
beforeAll(async () => {
  kit = await relayKit('relay_broker');
  model = await amqp.connect(testBrokerUrl());
  channel = await model.createChannel();
  await channel.assertExchange(exchange, 'topic', { durable: true });
  await channel.assertQueue(exchange, { durable: true, arguments: { 'x-queue-type': 'quorum' } });
  await channel.bindQueue(exchange, exchange, '#');
});
const stops: (() => Promise<void>)[] = [];
afterEach(async () => {
  for (const stop of stops.splice(0).reverse()) await stop();
  await kit.db.pg.query(`TRUNCATE ${kit.db.table('svc_comm_outbox')}`);
  await channel.purgeQueue(exchange);
});
afterAll(async () => {
  await channel.deleteQueue(exchange);
  await channel.deleteExchange(exchange);
  await model.close();
  await kit.close();
});

async function publisher(declare: DeclareMode = 'none'): Promise<BrokerPublisher> {
  const connection = new BrokerConnection({ name: exchange, url: testBrokerUrl() });
  const made = new BrokerPublisher({ connection, declare });
  await connection.start();
  stops.push(() => connection.stop());
  await made.start();
  stops.push(() => made.stop());
  return made;
}
const rows = (count: number): RowSpec[] =>
  Array.from({ length: count }, (_, n) => ({ exchange, key: `k${n % 100}`, body: `{"n":${n}}` }));

/** @returns rows for each second until at most `left` rows are left */
async function drainRate(count: number, left: number): Promise<number> {
  const { relay } = kit.relay(await publisher());
  stops.push(() => relay.stop());
  const from = performance.now();
  await relay.start();
  await until('the outbox has drained', async () => (await kit.db.count('svc_comm_outbox')) <= left, 60_000);
  return (count * 1000) / (performance.now() - from);
}

describe('the relay on RabbitMQ', () => {
  it('delivers what was written, each key in order, as persistent JSON with the ids of the rows', async () => {
    await kit.insert(rows(1000));
    await drainRate(1000, 0);
    const last = new Map<string, number>();
    for (let n = 0; n < 1000; n++) {
      const message = await channel.get(exchange, { noAck: true });
      if (!message) throw new Error(`only ${n} messages`);
      const key = String(message.properties.headers?.['svc-comm-key']);
      const sequence: number = JSON.parse(message.content.toString()).n;
      expect(sequence).toBeGreaterThan(last.get(key) ?? -1);
      last.set(key, sequence);
      expect(message.properties).toMatchObject({ deliveryMode: 2, contentType: 'application/json' });
      expect(message.properties.messageId).toMatch(/^[0-9a-f-]{36}$/);
    }
    expect(await channel.get(exchange, { noAck: true })).toBe(false);
  });

  it('drains the other 9,999 rows at half the full rate at least while one is for an exchange that does not exist', async () => {
    await kit.insert(rows(10_000));
    const full = await drainRate(10_000, 0);
    for (const stop of stops.splice(0).reverse()) await stop();
    const guilty = rows(10_000).map((row, n) => (n === 5000 ? { ...row, exchange: `${exchange}_missing` } : row));
    await kit.insert(guilty);
    const hindered = await drainRate(10_000, 100);
    console.info(
      `full rate ${Math.round(full)}/s, with one guilty row ${Math.round(hindered)}/s: ${(hindered / full).toFixed(2)}`,
    );
    await until('only its key is left', async () => (await kit.db.count('svc_comm_outbox')) === 50, 20_000);
    expect(await kit.db.count('svc_comm_outbox', 'attempts > 0')).toBe(1);
    expect(await kit.db.count('svc_comm_outbox', "order_key = 'k0'")).toBe(50);
    expect(hindered / full).toBeGreaterThan(0.5);
  });

  it('keeps what a handler put off, also without `unroutable: keep`, when its queue is deleted until it is made again', async () => {
    const queue = uniqueName('relay_put_off');
    const transactions = resolveTransactions(knexTransactions(), kit.db.pool);
    const outbox = new Outbox({ transactions, appId: 'orders', schema: kit.db.schema });
    const properties = { messageId: 'm1', headers: { 'svc-comm-attempt': 2 } };
    const copy = { exchange: '', routingKey: queue, body: Buffer.from('put off'), properties };
    await channel.assertQueue(queue);
    await outbox.scheduler().schedule(copy, new Date());
    await channel.deleteQueue(queue);
    const { relay } = kit.relay(await publisher());
    stops.push(() => relay.stop());
    await relay.start();
    await until('it was tried while there was no queue', () => relay.stats.unroutable > 0);
    await channel.assertQueue(queue);
    stops.push(async () => void (await channel.deleteQueue(queue)));
    await until('it arrives', async () => (await channel.checkQueue(queue)).messageCount === 1);
    expect(await channel.get(queue, { noAck: true })).toMatchObject({ content: copy.body, properties });
    await until('its row is gone', async () => (await kit.db.count('svc_comm_outbox')) === 0);
  });
});
