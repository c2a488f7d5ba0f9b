import { randomUUID } from 'node:crypto';
import { type Channel, type ChannelModel, type ConfirmChannel, connect, type Options } from 'amqplib';
import { testBrokerUrl, uniqueName } from '../test/support/servers.ts';
import { EVENT_TYPE, sampleEvent } from './event.ts';

/** Unconfirmed messages at once, on every side. */
export const WINDOW = 1000;

/** Plain amqplib: the other side, and what makes, fills and removes the queues of a bench. */
export class BenchBroker {
  readonly url = testBrokerUrl();
  /** Exchange, and prefix of all names. */
  readonly name: string;
  readonly model: ChannelModel;
  readonly channel: Channel;
  readonly confirms: ConfirmChannel;
  readonly body: Buffer;
  readonly #queues = new Set<string>();
  readonly #exchanges = new Set<string>();

  private constructor(name: string, model: ChannelModel, channel: Channel, confirms: ConfirmChannel) {
    this.name = name;
    this.model = model;
    this.channel = channel;
    this.confirms = confirms;
    this.body = Buffer.from(sampleEvent(name));
  }

  static async open(bench: string): Promise<BenchBroker> {
    const model = await connect(testBrokerUrl(), { noDelay: true });
    const [channel, confirms] = [await model.createChannel(), await model.createConfirmChannel()];
    const broker = new BenchBroker(uniqueName(`bench_${bench}`), model, channel, confirms);
    await broker.exchange(broker.name);
    return broker;
  }

  async exchange(name: string): Promise<string> {
    await this.channel.assertExchange(name, 'topic', { durable: true });
    this.#exchanges.add(name);
    return name;
  }

  /** A queue that gets everything of the exchange. */
  async queue(name: string, args: object = { 'x-queue-type': 'quorum' }, exchange = this.name): Promise<string> {
    await this.channel.assertQueue(name, { durable: true, arguments: args });
    await this.channel.bindQueue(name, exchange, '#');
    this.#queues.add(name);
    return name;
  }

  /** Removes it, and the retry and dead queues that a consumer of ours has made beside it. */
  owns(queue: string): void {
    for (const suffix of ['', '.dead', ...[1, 5, 30, 120].map((s) => `.retry.${s * 1000}`)]) {
      this.#queues.add(`${queue}${suffix}`);
    }
  }

  /** The window that amqplib's own users write: a callback for each message. @returns when all are confirmed */
  publish(count: number, exchange = this.name, ids: readonly string[] = messageIds(count)): Promise<void> {
    const { confirms, body } = this;
    let [sent, confirmed] = [0, 0];
    return new Promise((resolve, reject) => {
      const pump = () => {
        while (sent < count && sent - confirmed < WINDOW) {
          confirms.publish(exchange, EVENT_TYPE, body, publishOptions(ids[sent] as string), (error: unknown) => {
            if (error) reject(error);
            confirmed += 1;
            if (confirmed === count) resolve();
            else pump();
          });
          sent += 1;
        }
      };
      pump();
    });
  }

  async close(): Promise<void> {
    for (const queue of this.#queues) await this.channel.deleteQueue(queue);
    for (const exchange of this.#exchanges) await this.channel.deleteExchange(exchange);
    await this.model.close();
  }
}

/** @returns when the broker has confirmed it */
export const publishConfirmed = (
  { confirms, name }: BenchBroker,
  routingKey: string,
  body: Buffer,
  messageId: string,
): Promise<void> =>
  new Promise((resolve, reject) => {
    confirms.publish(name, routingKey, body, publishOptions(messageId), (error: unknown) =>
      error ? reject(error) : resolve(),
    );
  });

/** As a message of ours has them. */
export const publishOptions = (messageId: string): Options.Publish => ({
  mandatory: true,
  deliveryMode: 2,
  contentType: 'application/json',
  messageId,
  timestamp: 1_700_000_000,
  appId: 'bench',
});

export const messageIds = (count: number): string[] => Array.from({ length: count }, () => randomUUID());
