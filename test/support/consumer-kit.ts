import { type Channel, type ChannelModel, connect, type GetMessage, type Options } from 'amqplib';
import { BrokerConnection } from '../../src/broker/connection.ts';
import { BrokerPublisher } from '../../src/broker/publisher.ts';
import { BrokerSubscriber } from '../../src/broker/subscriber.ts';
import { BrokerTopology } from '../../src/broker/topology.ts';
import { Consumer, type ConsumerParts } from '../../src/consumer/consumer.ts';
import { type ConsumeOptions, DEFAULT_CONSUMER_OPTIONS, type RetryOptions } from '../../src/consumer/options.ts';
import type { Headers } from '../../src/message/message.ts';
import { deadQueueName, type QueueSpec, retryQueueName, type TopologySpec } from '../../src/message/topology.ts';
import { MessageRouter } from '../../src/router/router.ts';
import { patience, pause } from './patience.ts';
import { testBrokerUrl, uniqueName } from './servers.ts';
import { TcpProxy } from './tcp-proxy.ts';

export interface KitOptions {
  readonly options?: Partial<Omit<ConsumeOptions, 'retry'>> & { readonly retry?: Partial<RetryOptions> };
  readonly queue?: Partial<QueueSpec>;
  readonly parts?: Partial<ConsumerParts>;
}

/** A consumer of ours on the real broker, and a plain amqplib channel beside it that feeds and inspects. */
export class ConsumerKit {
  readonly name = uniqueName('consumer_test');
  readonly exchange = `${this.name}.x`;
  readonly queue = `${this.name}.q`;
  readonly dead = deadQueueName(this.queue);
  readonly router = new MessageRouter();
  readonly #consumers: Consumer[] = [];
  readonly #retryQueues = new Set<string>();
  /** Between the consumer and the broker, to lose connections by. */
  readonly proxy: TcpProxy;
  readonly receiving: BrokerConnection;
  readonly publishing: BrokerConnection;
  readonly topology: BrokerTopology;
  readonly publisher: BrokerPublisher;
  #model: ChannelModel | undefined;
  #channel: Channel | undefined;

  private constructor(proxy: TcpProxy) {
    const url = proxy.url(testBrokerUrl());
    this.proxy = proxy;
    this.receiving = new BrokerConnection({ name: 'test consume', url });
    this.publishing = new BrokerConnection({ name: 'test publish', url });
    this.topology = new BrokerTopology({ connection: this.receiving });
    this.publisher = new BrokerPublisher({ connection: this.publishing });
  }

  static async create(): Promise<ConsumerKit> {
    const kit = new ConsumerKit(await TcpProxy.to(testBrokerUrl()));
    await Promise.all([kit.receiving.start(), kit.publishing.start()]);
    await kit.publisher.start();
    kit.#model = await connect(testBrokerUrl());
    await kit.#newChannel();
    return kit;
  }

  get channel(): Channel {
    if (!this.#channel) throw new Error('the kit was not created');
    return this.#channel;
  }

  spec(options: ConsumeOptions, queue: Partial<QueueSpec> = {}): TopologySpec {
    return {
      exchanges: [{ name: this.exchange, type: 'topic' }],
      queue: { name: this.queue, type: 'quorum', singleActiveConsumer: false, arguments: {}, ...queue },
      binds: [{ exchange: this.exchange, pattern: '#' }],
      retryDelaysMs: options.retry.delaysMs,
    };
  }

  consumer({ options = {}, queue = {}, parts = {} }: KitOptions = {}): Consumer {
    const retry = { ...DEFAULT_CONSUMER_OPTIONS.retry, delaysMs: [50, 100], ...options.retry };
    const complete = { ...DEFAULT_CONSUMER_OPTIONS, ...options, retry };
    for (const delay of retry.delaysMs) this.#retryQueues.add(retryQueueName(this.queue, delay));
    const topologySpec = this.spec(complete, queue);
    const subscriber = new BrokerSubscriber({
      connection: this.receiving,
      ensureTopology: () => this.topology.ensure(topologySpec),
    });
    const { publisher, topology, router } = this;
    const consumer = new Consumer({
      subscriber,
      publisher,
      topology,
      topologySpec,
      router,
      options: complete,
      ...parts,
    });
    this.#consumers.push(consumer);
    return consumer;
  }

  async start(options?: KitOptions): Promise<Consumer> {
    const consumer = this.consumer(options);
    await consumer.start();
    return consumer;
  }

  #sent = 0;

  send(routingKey: string, body: unknown, headers: Headers = {}, properties: Options.Publish = {}): void {
    const content = Buffer.isBuffer(body) ? body : Buffer.from(JSON.stringify(body));
    this.#sent += 1;
    const messageId = `${this.name}-${this.#sent}`;
    this.channel.publish(this.exchange, routingKey, content, { persistent: true, messageId, headers, ...properties });
  }

  /** The next dead letter, waiting for it. */
  async nextDead(withinMs = 8_000): Promise<GetMessage> {
    const isOver = patience(withinMs);
    while (!isOver()) {
      const message = await this.channel.get(this.dead, { noAck: true });
      if (message) return message;
      await new Promise((resolve) => setTimeout(resolve, 10));
    }
    throw new Error(`no dead letter within ${withinMs} ms`);
  }

  async count(queue: string): Promise<number> {
    return (await this.channel.checkQueue(queue)).messageCount;
  }

  /** Those of a test that failed, too: they would take the messages of the next one. */
  async stopConsumers(): Promise<void> {
    await Promise.all(this.#consumers.splice(0).map((consumer) => consumer.stop()));
  }

  async remove(): Promise<void> {
    await this.stopConsumers();
    await this.publisher.stop();
    await Promise.all([this.receiving.stop(), this.publishing.stop()]);
    await this.#newChannel();
    for (const queue of [this.queue, this.dead, ...this.#retryQueues]) await this.channel.deleteQueue(queue);
    await this.channel.deleteExchange(this.exchange);
    await this.#model?.close();
    await this.proxy.close();
  }

  async #newChannel(): Promise<void> {
    this.#channel = await this.#model?.createChannel();
    this.#channel?.on('error', () => undefined);
  }
}

/** Resolves when the condition holds; it is looked at every few milliseconds. */
export async function until(condition: () => boolean | Promise<boolean>, withinMs = 10_000): Promise<void> {
  const isOver = patience(withinMs);
  const next = pause(5);
  while (!(await condition())) {
    if (isOver()) throw new Error(`not so within ${withinMs} ms: ${condition}`);
    await next();
  }
}
