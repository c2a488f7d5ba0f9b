import type { BrokerPublisher } from '../src/broker/publisher.ts';
import type { Message } from '../src/message/message.ts';
import { BenchBroker, messageIds, publishOptions, WINDOW } from './broker.ts';
import { compiled } from './compiled.ts';
import { EVENT_TYPE } from './event.ts';
import { interleave, judge, type Row, type Side, timed } from './harness.ts';

export const head = `
Both: one connection, noDelay, one confirm channel, 1,000 unconfirmed at most, 987 bytes, persistent, mandatory, the same
properties. amqplib has a callback for each message; ours once by offer(), as the relay uses it, once by publish(), a
promise each. 'no queue': nothing is bound, the broker gives each message back.
Cheating would be: a larger window, no mandatory, transient messages, smaller properties.`;

const COUNT = Number(process.env.SVC_COMM_BENCH_PUBLISH_MESSAGES ?? 10_000);

export async function run(rounds: number): Promise<Row[]> {
  const { BrokerConnection } = await compiled('broker/connection');
  const { BrokerPublisher } = await compiled('broker/publisher');
  const broker = await BenchBroker.open('publish');
  const queue = await broker.queue(broker.name);
  const nowhere = await broker.exchange(`${broker.name}.nowhere`);
  const connection = new BrokerConnection({ name: broker.name, url: broker.url });
  const publisher = new BrokerPublisher({ connection, maxInFlight: WINDOW });
  await connection.start();
  await publisher.start();
  broker.confirms.on('return', () => undefined);

  const side = (name: string, exchange: string, work: (exchange: string, ids: string[]) => Promise<void>): Side => ({
    name,
    async run() {
      const ids = messageIds(COUNT);
      await broker.channel.purgeQueue(queue);
      return timed(COUNT, () => work(exchange, ids));
    },
  });
  const amqplib = (exchange: string, ids: string[]) => broker.publish(COUNT, exchange, ids);
  const offer = (exchange: string, ids: string[]) => offerAll(publisher, broker.body, exchange, ids);
  const promise = (exchange: string, ids: string[]) => publishAll(publisher, broker.body, exchange, ids);
  try {
    const quorum = await interleave(
      [
        side('amqplib', broker.name, amqplib),
        side('offer()', broker.name, offer),
        side('publish()', broker.name, promise),
      ],
      rounds,
    );
    const none = await interleave([side('amqplib', nowhere, amqplib), side('offer()', nowhere, offer)], rounds);
    return [
      ...judge(quorum, {
        bench: 'publish, quorum queue',
        ours: 'offer()',
        beside: 'amqplib',
        throughput: 0.97,
        cpu: 1.1,
      }),
      ...judge(quorum, {
        bench: 'publish, quorum queue',
        ours: 'publish()',
        beside: 'amqplib',
        throughput: 0.97,
        cpu: 1.1,
      }),
      ...judge(none, { bench: 'publish, no queue', ours: 'offer()', beside: 'amqplib', throughput: 1.15, cpu: 1.1 }),
    ];
  } finally {
    await publisher.stop();
    await connection.stop();
    await broker.close();
  }
}

const message = (exchange: string, body: Buffer, id: string): Message => {
  const { deliveryMode, contentType, messageId, timestamp, appId } = publishOptions(id);
  const properties = { deliveryMode: Number(deliveryMode), contentType, messageId, timestamp, appId };
  return { exchange, routingKey: EVENT_TYPE, body, properties };
};

function offerAll(publisher: BrokerPublisher, body: Buffer, exchange: string, ids: readonly string[]): Promise<void> {
  const { signal } = new AbortController();
  let [sent, settled] = [0, 0];
  let isWaiting = false;
  return new Promise((resolve, reject) => {
    const pump = () => {
      while (sent < ids.length && publisher.hasRoom) {
        publisher.offer(message(exchange, body, ids[sent] as string), ({ kind }) => {
          if (kind === 'refused' || kind === 'unknown') reject(new Error(kind));
          settled += 1;
          if (settled === ids.length) resolve();
        });
        sent += 1;
      }
      if (sent === ids.length || isWaiting) return;
      isWaiting = true;
      publisher.room(signal).then(() => {
        isWaiting = false;
        pump();
      }, reject);
    };
    pump();
  });
}

/** Everybody at once: the publisher itself keeps to its window. */
async function publishAll(publisher: BrokerPublisher, body: Buffer, exchange: string, ids: string[]): Promise<void> {
  let next = 0;
  const worker = async () => {
    while (next < ids.length) await publisher.publish(message(exchange, body, ids[next++] as string));
  };
  await Promise.all(Array.from({ length: WINDOW }, worker));
}
