import { type ChannelModel, type ConfirmChannel, type ConsumeMessage, connect } from 'amqplib';
import type { Logger } from '../../src/lifecycle/logger.ts';
import type { Message, MessageProperties } from '../../src/message/message.ts';
import type { PublishOutcome } from '../../src/message/publisher.ts';
import { deferred } from '../../src/util/deferred.ts';
import { testBrokerUrl, uniqueName } from './servers.ts';

/** Plain amqplib beside the code under test: it makes, looks at and removes what a test needs on the broker. */
export class BrokerKit {
  readonly prefix: string;
  readonly channel: ConfirmChannel;
  readonly #model: ChannelModel;
  readonly #queues = new Set<string>();
  readonly #exchanges = new Set<string>();

  private constructor(prefix: string, model: ChannelModel, channel: ConfirmChannel) {
    this.prefix = prefix;
    this.#model = model;
    this.channel = channel;
  }

  static async open(prefix: string): Promise<BrokerKit> {
    const model = await connect(testBrokerUrl());
    return new BrokerKit(uniqueName(prefix), model, await model.createConfirmChannel());
  }

  /** A name of this test's; the queue of that name is removed at the end. */
  queueName(suffix: string): string {
    const name = `${this.prefix}.${suffix}`;
    this.#queues.add(name);
    return name;
  }

  exchangeName(suffix: string): string {
    const name = `${this.prefix}.${suffix}`;
    this.#exchanges.add(name);
    return name;
  }

  async queue(suffix: string, args: object = {}): Promise<string> {
    const name = this.queueName(suffix);
    await this.channel.assertQueue(name, { durable: true, arguments: args });
    return name;
  }

  async exchange(suffix: string, type = 'topic'): Promise<string> {
    const name = this.exchangeName(suffix);
    await this.channel.assertExchange(name, type, { durable: true });
    return name;
  }

  /** Bodies in the queue, in order; they are gone from it then. */
  async drain(queue: string): Promise<string[]> {
    // A quorum queue counts a message when its nodes have agreed on it, which what is asked after it does not wait for.
    await this.channel.waitForConfirms();
    const wanted = await this.count(queue);
    const bodies: string[] = [];
    if (wanted === 0) return bodies;
    const done = deferred();
    const onMessage = (got: ConsumeMessage | null) => {
      if (got) bodies.push(got.content.toString());
      if (bodies.length === wanted) done.resolve();
    };
    const { consumerTag } = await this.channel.consume(queue, onMessage, { noAck: true });
    await done.promise;
    await this.channel.cancel(consumerTag);
    return bodies;
  }

  async count(queue: string): Promise<number> {
    return (await this.channel.checkQueue(queue)).messageCount;
  }

  /** Whether something exists, asked on a channel of its own, which a 404 closes. */
  async exists(kind: 'queue' | 'exchange', name: string): Promise<boolean> {
    const channel = await this.#model.createChannel();
    channel.on('error', () => undefined);
    const look = kind === 'queue' ? channel.checkQueue(name) : channel.checkExchange(name);
    const isThere = await look.then(
      () => true,
      () => false,
    );
    await channel.close().catch(() => undefined);
    return isThere;
  }

  async close(): Promise<void> {
    for (const queue of this.#queues) await this.channel.deleteQueue(queue);
    for (const exchange of this.#exchanges) await this.channel.deleteExchange(exchange);
    await this.#model.close();
  }
}

export function message(exchange: string, routingKey: string, body = 'x', properties: MessageProperties = {}): Message {
  return { exchange, routingKey, body: Buffer.from(body), properties: { deliveryMode: 2, ...properties } };
}

/** Collects outcomes; `all` resolves when each of them is there, and a second settle of one fails the test. */
export class Outcomes {
  readonly #list: (PublishOutcome | undefined)[] = [];
  readonly #extra: number[] = [];
  #open = 0;
  #resolve: () => void = () => undefined;

  next(): (outcome: PublishOutcome) => void {
    const index = this.#list.push(undefined) - 1;
    this.#open += 1;
    return (outcome) => {
      if (this.#list[index]) this.#extra.push(index);
      else this.#open -= 1;
      this.#list[index] = outcome;
      if (this.#open === 0) this.#resolve();
    };
  }

  async all(): Promise<readonly PublishOutcome[]> {
    if (this.#open > 0) {
      await new Promise<void>((resolve) => {
        this.#resolve = resolve;
      });
    }
    // Any second settle would come in a later turn.
    await new Promise((resolve) => setImmediate(resolve));
    if (this.#extra.length > 0) throw new Error(`settled twice: ${this.#extra}`);
    return this.#list.filter((outcome) => outcome !== undefined);
  }

  async kinds(): Promise<Record<string, number>> {
    const counts: Record<string, number> = {};
    for (const { kind } of await this.all()) counts[kind] = (counts[kind] ?? 0) + 1;
    return counts;
  }
}

/** A logger whose lines a test can read, and wait for. */
export class LogLines implements Logger {
  readonly lines: { readonly level: string; readonly text: string; readonly fields: object }[] = [];
  #waiting: { readonly text: string; readonly resolve: () => void }[] = [];

  debug(fields: object, text: string): void {
    this.#add('debug', fields, text);
  }
  info(fields: object, text: string): void {
    this.#add('info', fields, text);
  }
  warn(fields: object, text: string): void {
    this.#add('warn', fields, text);
  }
  error(fields: object, text: string): void {
    this.#add('error', fields, text);
  }

  /** Resolves when a line with this text comes; at once when one has come. */
  async seen(text: string): Promise<void> {
    if (this.lines.some((line) => line.text.includes(text))) return;
    await new Promise<void>((resolve) => this.#waiting.push({ text, resolve }));
  }

  count(text: string): number {
    return this.lines.filter((line) => line.text.includes(text)).length;
  }

  #add(level: string, fields: object, text: string): void {
    this.lines.push({ level, text, fields });
    for (const waiter of this.#waiting.filter((each) => text.includes(each.text))) waiter.resolve();
    this.#waiting = this.#waiting.filter((each) => !text.includes(each.text));
  }
}
