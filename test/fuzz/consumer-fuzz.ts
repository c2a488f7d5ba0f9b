import { type ConsumeMessage, connect } from 'amqplib';
import { BrokerConnection } from '../../src/broker/connection.ts';
import { BrokerPublisher } from '../../src/broker/publisher.ts';
import { BrokerSubscriber } from '../../src/broker/subscriber.ts';
import { BrokerTopology } from '../../src/broker/topology.ts';
import { Consumer } from '../../src/consumer/consumer.ts';
import { DEFAULT_CONSUMER_OPTIONS } from '../../src/consumer/options.ts';
import type { MessageContext } from '../../src/message/handler.ts';
import { deadQueueName } from '../../src/message/topology.ts';
import { callConsumer } from '../../src/router/call-consumer.ts';
import { commandConsumer } from '../../src/router/command-consumer.ts';
import { eventConsumer } from '../../src/router/event-consumer.ts';
import { MessageRouter } from '../../src/router/router.ts';
import { Random } from '../faults/random.ts';
import { eventually } from '../support/eventually.ts';
import { hostileMessage } from './messages.ts';

export interface ConsumerFuzz {
  readonly sent: number;
  /** Messages that a handler saw. */
  readonly handled: number;
  /** Messages that are in the dead letters, with all their headers or without those that could not be sent on. */
  readonly dead: number;
  readonly deadWithoutHeaders: number;
  /** Commands and calls whose deadline had passed: dropped, as they are to be. */
  readonly expired: number;
  readonly unaccounted: number;
  readonly arePrototypesClean: boolean;
}

/** Tells one message from the other, whatever the rest of it says. */
const NUMBER = 'fuzz-number';
const BATCH = 1000;

/** Sends a consumer what no sender should send, and asks that each message ends somewhere. */
export async function fuzzConsumer(
  brokerUrl: string,
  count: number,
  seed: number,
  name: string,
): Promise<ConsumerFuzz> {
  const random = new Random(seed);
  const exchange = `${name}.x`;
  const queue = `${name}.q`;
  const router = new MessageRouter();
  const ended = new Map<number, 'handled' | 'dead'>();
  const see = ({ headers }: MessageContext) => void ended.set(Number(headers[NUMBER]), 'handled');
  router.consumer(exchange, 'event.*')(eventConsumer(async (_payload, _event, context) => see(context)));
  router.consumer(exchange, 'command')(commandConsumer(async (_args, context) => see(context)));
  router.consumer(exchange, 'raw')(async (_key, _body, context) => see(context));
  router.consumer(
    exchange,
    'call',
  )(
    callConsumer(async (_data, _call, context) => {
      see(context);
      return { price: 1 };
    }),
  );
  const receiving = new BrokerConnection({ name: 'fuzz consume', url: brokerUrl });
  const publishing = new BrokerConnection({ name: 'fuzz publish', url: brokerUrl });
  const topology = new BrokerTopology({ connection: receiving });
  const publisher = new BrokerPublisher({ connection: publishing });
  await Promise.all([receiving.start(), publishing.start()]);
  await publisher.start();
  const topologySpec = {
    exchanges: [{ name: exchange, type: 'topic' as const }],
    queue: { name: queue, type: 'quorum' as const, singleActiveConsumer: false, arguments: {} },
    binds: [{ exchange, pattern: '#' }],
    retryDelaysMs: [],
  };
  const subscriber = new BrokerSubscriber({
    connection: receiving,
    ensureTopology: () => topology.ensure(topologySpec),
  });
  const retry = { ...DEFAULT_CONSUMER_OPTIONS.retry, attempts: 1, delaysMs: [], keyed: 'skip' as const };
  const options = { ...DEFAULT_CONSUMER_OPTIONS, retry, unhandled: 'dead-letter' as const };
  const consumer = new Consumer({ subscriber, publisher, topology, topologySpec, router, options });
  await consumer.start();
  const connection = await connect(brokerUrl);
  try {
    const channel = await connection.createConfirmChannel();
    let deadWithoutHeaders = 0;
    const accounted = () => ended.size + deadWithoutHeaders + consumer.stats.expired;
    const onDead = (message: ConsumeMessage | null) => {
      const number = message?.properties.headers?.[NUMBER];
      if (number === undefined) deadWithoutHeaders += 1;
      else if (!ended.has(Number(number))) ended.set(Number(number), 'dead');
    };
    await channel.consume(deadQueueName(queue), onDead, { noAck: true });
    for (let sent = 0; sent < count; ) {
      const batch = Math.min(BATCH, count - sent);
      for (let i = 0; i < batch; i++) {
        const { routingKey, body, properties } = hostileMessage(random, sent + i);
        channel.publish(exchange, routingKey, body, {
          ...properties,
          headers: { ...properties.headers, [NUMBER]: sent + i },
        });
      }
      await channel.waitForConfirms();
      sent += batch;
      await eventually(`${sent} messages have ended`, async () => accounted() >= sent, 120_000);
    }
    await consumer.stop();
    for (const each of [queue, deadQueueName(queue)]) await channel.deleteQueue(each);
    await channel.deleteExchange(exchange);
    const handled = [...ended.values()].filter((end) => end === 'handled').length;
    const { expired } = consumer.stats;
    const unaccounted = Math.max(0, count - accounted());
    const arePrototypesClean = !('polluted' in {}) && Object.keys(Object.prototype).length === 0;
    const dead = ended.size - handled;
    return { sent: count, handled, dead, deadWithoutHeaders, expired, unaccounted, arePrototypesClean };
  } finally {
    await connection.close();
    await publisher.stop();
    await Promise.all([receiving.stop(), publishing.stop()]);
  }
}
