import { randomUUID } from 'node:crypto';
import type { Channel, ConsumeMessage } from 'amqplib';
import { BenchBroker } from './broker.ts';
import { compiled } from './compiled.ts';
import { interleave, judge, type Row, type Side, timed } from './harness.ts';

export const head = `
Both: caller and callee in this process with connections of their own, a quorum queue, persistent requests of the same
body (a call's envelope around 200 bytes), direct reply-to, 10 callers that wait for their answer before they ask again
('one': a single one). amqplib: mandatory publishes on a confirm channel whose confirms nobody waits for, the callee
acks each request, prefetch 100; no deadline, no validation, JSON parsed and written on both ends.
Ours: call() and callConsumer, without a database. Cheating would be: transient requests, no acks, a classic queue.`;

const COUNT = Number(process.env.SVC_COMM_BENCH_CALLS ?? 5_000);
/** Of a single caller, who has no other's wait to work in. */
const ONE_COUNT = Math.ceil(COUNT / 5);
const DATA = { sku: 'a'.repeat(180), n: 1 };

export async function run(rounds: number): Promise<Row[]> {
  const { createService } = await compiled('assemble');
  const { callConsumer } = await compiled('router/call-consumer');
  const broker = await BenchBroker.open('call');
  const bare = await BareCaller.open(broker);
  const ours = `${broker.name}.ours`;
  await broker.exchange(ours);
  broker.owns(ours);
  const settings = { brokerUrl: broker.url, logLevel: 'silent', concurrency: 100 } as const;
  const callee = createService({ ...settings, appId: ours });
  const caller = createService({ ...settings, appId: `${broker.name}.caller` });
  await broker.exchange(`${broker.name}.caller.replies`);
  callee.messageRouter.consumer(ours, 'echo')(callConsumer((data: unknown) => data));
  await callee.consumer().start();

  const side = (name: string, width: number, ask: () => Promise<unknown>): Side => {
    const count = width === 1 ? ONE_COUNT : COUNT;
    return { name, run: () => timed(count, () => inTurn(count, width, ask)) };
  };
  const bareCall = () => bare.call(DATA);
  const ourCall = () => caller.call(ours, 'echo', DATA, { timeout: 30 });
  try {
    const ten = await interleave(
      [side('amqplib, 10 callers', 10, bareCall), side('call(), 10 callers', 10, ourCall)],
      rounds,
    );
    const one = await interleave(
      [side('amqplib, one caller', 1, bareCall), side('call(), one caller', 1, ourCall)],
      rounds,
    );
    const bench = 'call() round trip';
    return [
      ...judge(ten, { bench, ours: 'call(), 10 callers', beside: 'amqplib, 10 callers', time: 1.3 }),
      ...judge(one, { bench, ours: 'call(), one caller', beside: 'amqplib, one caller', time: 1.3 }),
    ];
  } finally {
    await Promise.all([caller.close(), callee.close()]);
    await bare.close();
    await broker.close();
  }
}

/** `count` questions by `width` callers, each of which waits for its answer. */
async function inTurn(count: number, width: number, ask: () => Promise<unknown>): Promise<void> {
  let next = 0;
  const worker = async () => {
    while (next < count) {
      next += 1;
      await ask();
    }
  };
  await Promise.all(Array.from({ length: width }, worker));
}

/** Request and reply as users of amqplib write it. */
class BareCaller {
  readonly #broker: BenchBroker;
  readonly #callee: BenchBroker;
  readonly #waiting = new Map<string, (answer: unknown) => void>();
  readonly #exchange: string;

  private constructor(broker: BenchBroker, callee: BenchBroker, exchange: string) {
    this.#broker = broker;
    this.#callee = callee;
    this.#exchange = exchange;
  }

  static async open(broker: BenchBroker): Promise<BareCaller> {
    const callee = await BenchBroker.open('callee');
    const queue = await callee.queue(`${callee.name}.q`);
    const bare = new BareCaller(broker, callee, callee.name);
    await callee.channel.prefetch(100);
    await callee.channel.consume(queue, (message) => answer(callee.channel, message));
    await broker.confirms.consume('amq.rabbitmq.reply-to', (message) => bare.#receive(message), { noAck: true });
    return bare;
  }

  call(data: unknown): Promise<unknown> {
    const id = randomUUID();
    return new Promise((resolve) => {
      this.#waiting.set(id, resolve);
      const time = new Date().toISOString();
      const body = Buffer.from(JSON.stringify({ id, meta: { replyTo: '', time, expiredTime: time }, data }));
      this.#broker.confirms.publish(this.#exchange, 'echo', body, {
        mandatory: true,
        persistent: true,
        contentType: 'application/json',
        messageId: id,
        correlationId: id,
        replyTo: 'amq.rabbitmq.reply-to',
        expiration: '90000',
      });
    });
  }

  #receive(message: ConsumeMessage | null): void {
    if (!message) return;
    const { id, data } = JSON.parse(message.content.toString());
    this.#waiting.get(id)?.(data);
    this.#waiting.delete(id);
  }

  close(): Promise<void> {
    return this.#callee.close();
  }
}

function answer(channel: Channel, message: ConsumeMessage | null): void {
  if (!message) return;
  const { id, data } = JSON.parse(message.content.toString());
  const body = Buffer.from(JSON.stringify({ id, data, meta: { time: new Date().toISOString() } }));
  channel.sendToQueue(message.properties.replyTo, body, {
    contentType: 'application/json',
    correlationId: message.properties.correlationId,
  });
  channel.ack(message);
}
