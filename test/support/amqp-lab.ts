import { once } from 'node:events';
import { type ChannelModel, type ConfirmChannel, connect, type GetMessage, type Options } from 'amqplib';
import { uniqueName } from './servers.ts';

/** What a broker said when it closed a channel. */
export interface Refusal {
  readonly code: number;
  readonly message: string;
}

/** A queue's messages as they come. */
export interface Inbox {
  readonly tag: string;
  readonly texts: string[];
  /** Resolves when so many have come. */
  until(count: number): Promise<readonly GetMessage[]>;
  /** Resolves when the broker cancels the consumer. */
  readonly cancelled: Promise<void>;
}

/** Connections and unique names on one broker, all taken away at the end. */
export class AmqpLab {
  readonly #url: string;
  readonly #prefix = uniqueName('lab');
  readonly #connections: ChannelModel[] = [];
  readonly #names = new Set<string>();

  constructor(url: string) {
    this.#url = url;
  }

  name(part: string): string {
    const name = `${this.#prefix}_${part}`;
    this.#names.add(name);
    return name;
  }

  async connection(): Promise<ChannelModel> {
    const connection = await connect(this.#url);
    connection.on('error', () => undefined);
    this.#connections.push(connection);
    return connection;
  }

  async channel(connection?: ChannelModel): Promise<ConfirmChannel> {
    const channel = await (connection ?? (await this.connection())).createConfirmChannel();
    channel.on('error', () => undefined);
    return channel;
  }

  async queue(part: string, options: Options.AssertQueue = {}): Promise<string> {
    const channel = await this.channel();
    const name = this.name(part);
    await channel.assertQueue(name, { durable: false, ...options });
    await channel.close();
    return name;
  }

  /** Publishes to a queue and waits for the confirm. */
  async send(channel: ConfirmChannel, queue: string, text: string, options: Options.Publish = {}): Promise<void> {
    await new Promise<void>((resolve, reject) => {
      channel.sendToQueue(queue, Buffer.from(text), options, (error: unknown) => (error ? reject(error) : resolve()));
    });
  }

  async consume(
    channel: ConfirmChannel,
    queue: string,
    options: Options.Consume = {},
    onMessage: (message: GetMessage) => void = (message) => options.noAck || channel.ack(message),
  ): Promise<Inbox> {
    const got: GetMessage[] = [];
    const texts: string[] = [];
    let wake: () => void = () => undefined;
    let cancel: () => void = () => undefined;
    const cancelled = new Promise<void>((resolve) => {
      cancel = resolve;
    });
    const { consumerTag } = await channel.consume(
      queue,
      (message) => {
        if (!message) {
          cancel();
          return;
        }
        const asGot = { ...message, fields: { ...message.fields, messageCount: 0 } };
        got.push(asGot);
        texts.push(message.content.toString());
        onMessage(asGot);
        wake();
      },
      options,
    );
    const until = async (count: number): Promise<readonly GetMessage[]> => {
      while (got.length < count) {
        await new Promise<void>((resolve) => {
          wake = resolve;
        });
      }
      return got;
    };
    return { tag: consumerTag, texts, until, cancelled };
  }

  /** Why the broker closed the channel at this. */
  async refusal(channel: ConfirmChannel, act: () => unknown): Promise<Refusal> {
    const failed = once(channel, 'error') as Promise<[Refusal]>;
    await Promise.resolve(act()).catch(() => undefined);
    const [{ code, message }] = await failed;
    return { code, message };
  }

  async close(): Promise<void> {
    for (const connection of this.#connections) await connection.close().catch(() => undefined);
    const connection = await connect(this.#url);
    const channel = await connection.createChannel();
    for (const name of this.#names) {
      await channel.deleteQueue(name);
      await channel.deleteExchange(name);
    }
    await connection.close();
  }
}
