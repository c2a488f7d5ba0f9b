import { connect } from 'amqplib';
import { BrokerConnection } from '../../src/broker/connection.ts';
import { BrokerPublisher } from '../../src/broker/publisher.ts';
import { BrokerSubscriber } from '../../src/broker/subscriber.ts';
import { BrokerTopology } from '../../src/broker/topology.ts';
import { Consumer } from '../../src/consumer/consumer.ts';
import { DEFAULT_CONSUMER_OPTIONS } from '../../src/consumer/options.ts';
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
  /** Messages by what became of them, as the consumer counts them; dead letters are counted in their queue too. */
  readonly handled: number;
  readonly failed: number;
  readonly unhandled: number;
  readonly expired: number;
  readonly dead: number;
  readonly unaccounted: number;
  /** What the handlers saw. */
  readonly handlerRuns: number;
  readonly arePrototypesClean: boolean;
}

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
  let handlerRuns = 0;
  const seen = () => {
    handlerRuns += 1;
  };
  router.consumer(exchange, 'event.*')(eventConsumer(async () => seen()));
  router.consumer(exchange, 'command')(commandConsumer(async () => seen()));
  router.consumer(exchange, 'raw')(async () => seen());
  router.consumer(
    exchange,
    'call',
  )(
    callConsumer(async () => {
      seen();
      return { price: 1 };
    }),
  );
  const log = (fields: object, text: string) => { if (process.env.FUZZ_DEBUG && text.includes('given back')) console.log(text, (fields as {error?: Error}).error?.stack); };
  const logger = { debug: () => undefined, info: () => undefined, warn: log, error: log, child: () => logger } as never;
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
  const options = { ...DEFAULT_CONSUMER_OPTIONS, retry };
  const consumer = new Consumer({ subscriber, publisher, topology, topologySpec, router, options, logger });
  await consumer.start();
  const connection = await connect(brokerUrl);
  try {
    const channel = await connection.createConfirmChannel();
    let dead = 0;
    for (let sent = 0; sent < count; ) {
      const batch = Math.min(BATCH, count - sent);
      for (let i = 0; i < batch; i++) {
        const { routingKey, body, properties } = hostileMessage(random, sent + i);
        channel.publish(exchange, routingKey, body, properties);
      }
      await channel.waitForConfirms();
      sent += batch;
      await eventually(
        `${sent} messages have ended`,
        async () => {
          if (process.env.FUZZ_DEBUG) console.log(JSON.stringify(consumer.stats));
          return consumer.stats.received >= sent && consumer.stats.inFlight === 0;
        },
        120_000,
      );
      dead += (await channel.purgeQueue(deadQueueName(queue))).messageCount;
    }
    const { handled, failed, unhandled, expired } = consumer.stats;
    const left = (await channel.checkQueue(queue)).messageCount;
    await consumer.stop();
    const ended = handled + failed + unhandled + expired + dead;
    for (const each of [queue, deadQueueName(queue)]) await channel.deleteQueue(each);
    await channel.deleteExchange(exchange);
    const arePrototypesClean = !('polluted' in {}) && Object.keys(Object.prototype).length === 0;
    return {
      sent: count,
      handled,
      failed,
      unhandled,
      expired,
      dead,
      unaccounted: count - ended + left,
      handlerRuns,
      arePrototypesClean,
    };
  } finally {
    await connection.close();
    await publisher.stop();
    await Promise.all([receiving.stop(), publishing.stop()]);
  }
}
