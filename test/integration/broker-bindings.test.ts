import { type Channel, type ChannelModel, connect } from 'amqplib';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it, vi } from 'vitest';
import { BrokerConnection } from '../../src/broker/connection.ts';
import { DeclareChannel } from '../../src/broker/declare-channel.ts';
import { BrokerPublisher } from '../../src/broker/publisher.ts';
import { ReplyQueue } from '../../src/broker/reply-queue.ts';
import { BrokerSubscriber } from '../../src/broker/subscriber.ts';
import { BrokerTopology } from '../../src/broker/topology.ts';
import { EmbeddedBroker } from '../../src/embedded/broker/embedded-broker.ts';
import { BrokerUnavailableError, TopologyMismatchError } from '../../src/errors.ts';
import { eventConsumer } from '../../src/index.ts';
import type { DeclareMode, TopologySpec } from '../../src/message/topology.ts';
import type { Relay } from '../../src/outbox/relay.ts';
import { deferred } from '../../src/util/deferred.ts';
import { LogLines } from '../support/broker-kit.ts';
import { type RelayKit, relayKit, until } from '../support/relay-kit.ts';
import { testBrokerUrl, uniqueName } from '../support/servers.ts';
import { ServiceKit } from '../support/service-kit.ts';
import { TcpProxy } from '../support/tcp-proxy.ts';

/** Between two looks of a consumer: of those that look by themselves here, and of those that do not. */
const REBIND_MS = 200;
const NEVER_MS = 3_600_000;

const embedded = new EmbeddedBroker();
let kit: RelayKit;
beforeAll(async () => {
  kit = await relayKit('bindings');
  await embedded.start();
});
afterAll(async () => {
  await kit.close();
  await embedded.stop();
});

async function reachesAQueue(model: ChannelModel, exchange: string, routingKey = 'probe'): Promise<boolean> {
  const channel = await model.createConfirmChannel();
  let isReturned = false;
  channel.on('return', () => {
    isReturned = true;
  });
  channel.publish(exchange, routingKey, Buffer.from('probe'), { mandatory: true });
  await channel.waitForConfirms();
  await channel.close();
  return !isReturned;
}

describe('a service', () => {
  let services: ServiceKit;
  let proxy: TcpProxy;
  beforeEach(async () => {
    services = await ServiceKit.open('bindings');
    proxy = await TcpProxy.to(testBrokerUrl());
  });
  afterEach(async () => {
    await services.close();
    await proxy.close();
  });

  it('binds again after a reconnect, and its relay leaves an exchange that was deleted to the consumers', async () => {
    const aggregate = services.exchangeName('order');
    const shop = services.service('shop', { binds: [aggregate], brokerUrl: proxy.url(testBrokerUrl()) });
    await shop.migrate();
    let handled = 0;
    shop.messageRouter.consumer(aggregate)(
      eventConsumer(() => {
        handled += 1;
      }),
    );
    const publish = (n: number) =>
      shop.transaction(() => shop.publishAggregateEvent({ aggregate, eventType: 'made', payload: { n } }));
    await shop.consumer().start();
    await shop.relay().start();
    await publish(1);
    await until('it has come', () => handled === 1);
    await services.channel.deleteExchange(aggregate);
    await publish(2);
    await until('it is held', async () => {
      return (await services.count('svc_comm_outbox', "last_error LIKE '%the exchange was deleted%'")) === 1;
    });
    proxy.cut();
    await services.log.seen('an exchange had gone');
    const model = await connect(testBrokerUrl());
    await until('it is bound', () => reachesAQueue(model, aggregate));
    await model.close();
  });

  it('binds what it had at its start again, and leaves what was registered since to its next start', async () => {
    const [exchange, last] = [services.exchangeName('order'), services.exchangeName('last')];
    const shop = services.service('shop', { databaseUrl: undefined, brokerUrl: proxy.url(testBrokerUrl()) });
    const register = (name: string, key: string) =>
      shop.messageRouter.consumer(name, key)(eventConsumer(() => undefined));
    register(exchange, 'made');
    register(last, 'made');
    const consumer = shop.consumer();
    await consumer.start();
    register(exchange, 'late');
    for (const name of [exchange, last]) await services.channel.deleteExchange(name);
    proxy.cut();
    await until('both were looked at', () => services.log.count('an exchange had gone') === 2);
    const model = await connect(testBrokerUrl());
    const isBound = (key: string) => reachesAQueue(model, exchange, key);
    expect([await isBound('made'), await isBound('late')]).toEqual([true, false]);
    await consumer.stop();
    await consumer.start();
    expect(await isBound('late')).toBe(true);
    await model.close();
  });
});

describe.each([
  { broker: 'RabbitMQ', brokerUrl: () => testBrokerUrl() },
  { broker: 'the embedded broker', brokerUrl: () => embedded.url },
])('on $broker', ({ brokerUrl }) => {
  let name: string;
  let exchange: string;
  let model: ChannelModel;
  let channel: Channel;
  let proxy: TcpProxy;
  let log: LogLines;
  const queues = new Set<string>();
  const cleanups: (() => Promise<unknown>)[] = [];
  /** What consumers wait for before they look. */
  let mayLook: Promise<void>;

  beforeEach(async () => {
    name = uniqueName('bindings');
    exchange = `${name}.x`;
    log = new LogLines();
    mayLook = Promise.resolve();
    model = await connect(brokerUrl());
    channel = await model.createChannel();
    proxy = await TcpProxy.to(brokerUrl());
  });
  afterEach(async () => {
    vi.useRealTimers();
    for (const cleanup of cleanups.splice(0).toReversed()) await cleanup();
    for (const queue of queues) await channel.deleteQueue(queue);
    queues.clear();
    for (const each of [exchange, `${exchange}.other`]) await channel.deleteExchange(each);
    await model.close();
    await proxy.close();
    await kit.db.pg.query(`TRUNCATE ${kit.db.table('svc_comm_outbox')}`);
  });

  async function connected(): Promise<BrokerConnection> {
    const backoff = { initialMs: 20, maxMs: 100 };
    const connection = new BrokerConnection({ name, url: proxy.url(brokerUrl()), backoff, logger: log });
    cleanups.push(() => connection.stop());
    await connection.start();
    return connection;
  }

  /** A consumer of a queue of its own that binds all of the exchange. @returns what it is brought */
  async function consuming(suffix: string, rebindMs: number, exchanges = [exchange], declare: DeclareMode = 'create') {
    const queue = `${name}.${suffix}`;
    for (const each of [queue, `${queue}.dead`]) queues.add(each);
    const spec: TopologySpec = {
      exchanges: exchanges.map((each) => ({ name: each, type: 'topic' })),
      queue: { name: queue, type: 'quorum', singleActiveConsumer: false, arguments: {} },
      binds: exchanges.map((each) => ({ exchange: each, pattern: '#' })),
      retryDelaysMs: [],
    };
    const connection = await connected();
    const topology = new BrokerTopology({ connection, declare, logger: log });
    await new BrokerTopology({ connection }).ensure(spec);
    const subscriber = new BrokerSubscriber({
      connection,
      ensureTopology: () => topology.ensure(spec),
      rebind: async () => {
        await mayLook;
        await topology.rebind(spec);
      },
      rebindMs,
      logger: log,
    });
    const bodies: string[] = [];
    const onDelivery = (delivery: { body: Buffer; ack(): boolean }) => {
      bodies.push(delivery.body.toString());
      delivery.ack();
    };
    const subscription = subscriber.subscribe({ queue, prefetch: 10, onDelivery });
    cleanups.push(() => subscription.stop());
    await subscription.start();
    return { queue, bodies, subscription, subscriber };
  }

  async function relaying(exchangeRestMs: number): Promise<Relay> {
    const connection = await connected();
    const publisher = new BrokerPublisher({ connection, exchangeRestMs, logger: log });
    cleanups.push(() => publisher.stop());
    await publisher.start();
    const { relay } = kit.relay(publisher, {}, log);
    cleanups.push(() => relay.stop());
    await relay.start();
    return relay;
  }

  const events = (first: number, last: number) =>
    kit.insert(
      Array.from({ length: last - first + 1 }, (_, n) => ({ exchange, key: `k${n % 3}`, body: `${first + n}` })),
    );
  const upTo = (last: number) => Array.from({ length: last }, (_, n) => String(n + 1));
  const sorted = (bodies: readonly string[]) => [...new Set(bodies)].toSorted((a, b) => Number(a) - Number(b));
  const isRouted = (to = exchange) => reachesAQueue(model, to);

  it('an exchange deleted under relay and consumers is bound again, and every event reaches every queue', async () => {
    const { promise, resolve } = deferred();
    mayLook = promise;
    const [one, two] = [await consuming('one', REBIND_MS), await consuming('two', REBIND_MS)];
    const relay = await relaying(3_000);
    await events(1, 5);
    await until('the first have come', () => one.bodies.length === 5 && two.bodies.length === 5);
    await channel.deleteExchange(exchange);
    await events(6, 40);
    await until('the relay has seen it', () => relay.stats.refused > 0);
    resolve();
    await until('the outbox is empty', async () => (await kit.db.count('svc_comm_outbox')) === 0, 30_000);
    await until('all have come', () => one.bodies.length >= 40 && two.bodies.length >= 40);
    expect([sorted(one.bodies), sorted(two.bodies)]).toEqual([upTo(40), upTo(40)]);
    expect(relay.stats.unroutable).toBe(0);
    expect([one, two].map(({ subscriber }) => subscriber.stats.resubscribes)).toEqual([0, 0]);
  });

  it('an exchange that no consumer makes again is made by the relay when their time is over', async () => {
    const relay = await relaying(500);
    await channel.assertExchange(exchange, 'topic', { durable: true });
    await events(1, 1);
    await until('it is known', () => relay.stats.unroutable === 1);
    await channel.deleteExchange(exchange);
    await events(2, 2);
    await until('it is held', () => relay.stats.refused > 0);
    expect(relay.stats.unroutable).toBe(1);
    await until('it is sent', () => relay.stats.unroutable === 2, 30_000);
    await channel.checkExchange(exchange);
  });

  it('an answer that finds the exchange lets no event to it go before its consumers have had their time', async () => {
    const connection = await connected();
    const publisher = new BrokerPublisher({ connection, exchangeRestMs: NEVER_MS, logger: log });
    cleanups.push(() => publisher.stop());
    await publisher.start();
    const { queue } = await channel.assertQueue(`${name}.one`, { durable: true });
    queues.add(queue);
    const make = async () => {
      await channel.assertExchange(exchange, 'topic', { durable: true });
      await channel.bindQueue(queue, exchange, '#');
    };
    const message = { exchange, routingKey: 'probe', body: Buffer.from('probe'), properties: {} };
    const event = () => publisher.publish(message);
    const answer = () => publisher.publish({ ...message, isExchangeForeign: true });
    await make();
    await answer();
    await event();
    await channel.deleteExchange(exchange);
    await expect(event()).rejects.toThrow('the exchange was deleted');
    await make();
    await answer();
    // Together: the one that is refused takes no other with it.
    await Promise.all([expect(event()).rejects.toThrow('the exchange was deleted'), answer()]);
    await until('the three answers and the event have come', async () => {
      return (await channel.checkQueue(queue)).messageCount === 4;
    });
  });

  it('what is held for an exchange that was deleted is tried again when its time is over, and not before', async () => {
    const relay = await relaying(5_000);
    await channel.assertExchange(exchange, 'topic', { durable: true });
    await events(1, 1);
    await until('it is known', () => relay.stats.unroutable === 1);
    await channel.deleteExchange(exchange);
    await events(2, 2);
    await until('it is sent', () => relay.stats.unroutable === 2, 30_000);
    expect(relay.stats.refused).toBe(1);
  });

  it('bindings that were taken away are back at the next look, and nothing is logged where nothing was amiss', async () => {
    const { queue } = await consuming('one', REBIND_MS);
    await channel.unbindQueue(queue, exchange, '#');
    await until('it is bound', () => isRouted());
    expect(log.lines.map(({ text }) => text)).toEqual(['connected to the broker']);
  });

  it('bindings that were taken away are back after a reconnect, without waiting for the next look', async () => {
    const { queue } = await consuming('one', NEVER_MS);
    await channel.unbindQueue(queue, exchange, '#');
    expect(await isRouted()).toBe(false);
    proxy.cut();
    await log.seen('consuming again');
    await until('it is bound', () => isRouted());
  });

  it('a look that the broker does not answer in time costs no connection: not by its channel, its question or its end', async () => {
    const connection = await connected();
    const open = connection.current ?? expect.fail('no connection');
    const looking = new DeclareChannel(connection, open, true);
    const look = () => looking.refusal((amqp) => amqp.assertExchange(exchange, 'topic', { durable: true }));
    vi.useFakeTimers({ toFake: ['setTimeout', 'clearTimeout'] });
    const unanswered = async () => {
      proxy.holdToClient();
      const looked = expect(look()).rejects.toBeInstanceOf(BrokerUnavailableError);
      await vi.advanceTimersByTimeAsync(10_000);
      await looked;
      await vi.advanceTimersByTimeAsync(10_000);
      proxy.heal();
    };
    await unanswered();
    expect(await look()).toBeUndefined();
    await unanswered();
    expect(await look()).toBeUndefined();
    looking.close();
    expect(connection.current).toBe(open);
  });

  it('an exchange made again with another type is told once; the consumer goes on, and binds the others', async () => {
    const other = `${exchange}.other`;
    const { queue, subscription, subscriber } = await consuming('one', REBIND_MS, [exchange, other]);
    await channel.deleteExchange(exchange);
    await channel.assertExchange(exchange, 'direct', { durable: true });
    await log.seen('not as wanted');
    const told = log.lines.find(({ text }) => text.includes('not as wanted'));
    expect(told?.fields).toMatchObject({ queue, error: expect.any(TopologyMismatchError) });
    await channel.unbindQueue(queue, other, '#');
    await until('the other is bound', () => isRouted(other));
    await channel.unbindQueue(queue, other, '#');
    await until('and again', () => isRouted(other));
    expect(log.count('not as wanted')).toBe(1);
    expect([subscription.isConsuming, subscriber.stats.resubscribes]).toEqual([true, 0]);
    await channel.deleteExchange(exchange);
    await log.seen('as wanted again');
    await until('it is bound', () => isRouted());
  });

  /** @returns also what it is brought */
  async function receivingReplies(declare: 'create' | 'verify', rebindMs: number) {
    const connection = await connected();
    const bodies: string[] = [];
    const onReply = ({ body }: { body: Buffer }) => void bodies.push(body.toString());
    const replies = new ReplyQueue({ connection, exchange, declare, onReply, rebindMs, logger: log });
    cleanups.push(() => replies.stop());
    await replies.start();
    return { replies, bodies };
  }
  const make = () => channel.assertExchange(exchange, 'topic', { durable: true });
  const isAnswered = async (bodies: readonly string[]) => {
    const before = bodies.length;
    channel.publish(exchange, 'call-response.shop.x', Buffer.from('an answer'));
    await channel.checkExchange(exchange);
    return before > 0;
  };
  const NOT_RECEIVED = 'answers by message cannot be received';

  it('the exchange for answers is made and bound again when somebody deletes it, and calls are answered', async () => {
    const { replies, bodies } = await receivingReplies('create', REBIND_MS);
    await channel.deleteExchange(exchange);
    await until('it is made', () => log.count('an exchange had gone') === 1);
    await until('it is bound', () => isRouted());
    expect(replies.address).toBe(exchange);
    await until('it is answered', () => isAnswered(bodies));
  });

  it('the exchange for answers is bound again when somebody has made it again', async () => {
    const { bodies } = await receivingReplies('create', REBIND_MS);
    await channel.deleteExchange(exchange);
    await make();
    await until('it is answered', () => isAnswered(bodies));
  });

  it('an exchange for answers that is made again with another type is told once, until it is as it was', async () => {
    const { bodies } = await receivingReplies('create', REBIND_MS);
    await channel.deleteExchange(exchange);
    await channel.assertExchange(exchange, 'direct', { durable: true });
    await log.seen('not as wanted');
    const [told] = log.lines.filter(({ text }) => text.includes('not as wanted'));
    expect(told?.fields).toMatchObject({ error: expect.any(TopologyMismatchError) });
    await channel.deleteExchange(exchange);
    await log.seen('as wanted again');
    await until('it is answered', () => isAnswered(bodies));
    expect(log.count('not as wanted')).toBe(1);
  });

  it("with declare: 'verify' answers come to their exchange as soon as somebody has made it, and each time anew", async () => {
    const { replies, bodies } = await receivingReplies('verify', REBIND_MS);
    expect(replies.address).toBeUndefined();
    await make();
    await until('it is an address', () => replies.address === exchange);
    await until('it is answered', () => isAnswered(bodies));
    await channel.deleteExchange(exchange);
    await until('it is none', () => replies.address === undefined);
    await make();
    await until('it is one again', () => replies.address === exchange);
    const before = bodies.length;
    await until('it is answered again', () => isAnswered(bodies.slice(before)));
    expect(log.count(NOT_RECEIVED)).toBe(1);
  });

  it("with declare: 'verify' a moment without the exchange lasts until the next connection at most, and is warned about once", async () => {
    const { replies } = await receivingReplies('verify', NEVER_MS);
    expect(replies.address).toBeUndefined();
    proxy.cut();
    await until('it is connected again', () => log.count('connected to the broker') === 2);
    await make();
    proxy.cut();
    await until('it is an address', () => replies.address === exchange);
    expect(log.count(NOT_RECEIVED)).toBe(1);
  });

  it.each<DeclareMode>(['verify', 'none'])('with declare %s nobody binds', async (declare) => {
    const { queue } = await consuming('one', NEVER_MS, [exchange], declare);
    await channel.unbindQueue(queue, exchange, '#');
    const topology = new BrokerTopology({ connection: await connected(), declare });
    await topology.rebind({
      exchanges: [],
      queue: { name: queue, type: 'quorum', singleActiveConsumer: false, arguments: {} },
      binds: [{ exchange, pattern: '#' }],
      retryDelaysMs: [],
    });
    expect(await isRouted()).toBe(false);
  });
});
