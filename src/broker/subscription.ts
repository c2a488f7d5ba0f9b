import { setMaxListeners } from 'node:events';
import type { Channel } from 'amqplib';
import { QueueUnavailableError } from '../errors.ts';
import type { Logger } from '../lifecycle/logger.ts';
import { Lifecycle, type ServiceState } from '../lifecycle/service.ts';
import type { Delivery, SubscribeOptions, Subscription } from '../message/subscriber.ts';
import { backoffMs } from '../util/backoff.ts';
import { type Deferred, deferred } from '../util/deferred.ts';
import { sleep } from '../util/sleep.ts';
import { unlessAborted } from '../util/unless-aborted.ts';
import { brokerText, replyCode } from './amqp-error.ts';
import { answered, openChannel } from './channels.ts';
import type { BrokerConnection } from './connection.ts';
import type { OpenConnection } from './connection-listener.ts';
import { DeliveryChannel, type DeliveryStats } from './delivery-channel.ts';
import { RebindWatch } from './rebind-watch.ts';
import { type StallOptions, StallWatch } from './stall-watch.ts';

export interface SubscriptionContext {
  readonly connection: BrokerConnection;
  readonly ensureTopology: () => Promise<void>;
  readonly rebind: (() => Promise<void>) | undefined;
  readonly rebindMs: number;
  readonly stats: DeliveryStats & { resubscribes: number };
  readonly logger: Logger;
  readonly closeTimeoutMs: number;
  readonly stall: StallOptions;
}

type ConsumerEnd =
  /** By the broker: the queue has gone. The channel is open still. */
  | { readonly kind: 'cancelled' }
  /** The channel has closed, with the broker's error or with the connection. */
  | { readonly kind: 'lost'; readonly error: Error | undefined }
  | { readonly kind: 'paused' };

/** One consumer of ours at the broker. */
interface Consumer {
  readonly open: OpenConnection;
  readonly channel: Channel;
  readonly source: DeliveryChannel;
  /** From consume-ok until it is cancelled. */
  tag: string | undefined;
  ended: Deferred<ConsumerEnd>;
}

/** Consumed for less than this, the next attempt waits longer than the last. */
const STABLE_MS = 5_000;

/**
 *            intake opened          consume-ok
 *   (idle) ───────────────▶ attaching ──────▶ consuming
 *                            │  ▲  ▲              │ cancelled by the broker, channel or connection lost
 *                     failed │  │  └──────────────┤
 *                            ▼  │ back-off over   │
 *                           waiting ◀─────────────┘
 *
 * `pause` and `stop` end the intake from every state. After `pause` the channel stays open for acks.
 */
export class BrokerSubscription implements Subscription {
  readonly name: string;
  readonly #options: SubscribeOptions;
  readonly #context: SubscriptionContext;
  readonly #lifecycle: Lifecycle;
  #intake = new AbortController();
  #running: Promise<void> = Promise.resolve();
  #consumer: Consumer | undefined;
  #needsTopology = false;
  readonly #stallWatch: StallWatch;
  readonly #rebindWatch: RebindWatch | undefined;
  /** What was logged last, so that a state that lasts is logged once. */
  #problem: string | undefined;

  constructor(options: SubscribeOptions, context: SubscriptionContext) {
    this.name = `subscription to ${options.queue}`;
    this.#options = options;
    this.#context = context;
    this.#stallWatch = new StallWatch(context.stall, context.logger);
    const { rebind, rebindMs, logger } = context;
    this.#rebindWatch = rebind && new RebindWatch({ rebind, rebindMs, queue: options.queue, logger });
    this.#lifecycle = new Lifecycle(this.name, { start: (signal) => this.#start(signal), stop: () => this.#stop() });
  }

  get state(): ServiceState {
    return this.#lifecycle.state;
  }

  get isConsuming(): boolean {
    return this.#consumer?.tag !== undefined && this.#consumer.source.isOpen;
  }

  start(): Promise<void> {
    return this.#lifecycle.start();
  }

  stop(): Promise<void> {
    return this.#lifecycle.stop();
  }

  async pause(): Promise<void> {
    this.#intake.abort();
    if (this.#consumer) {
      await this.#cancel(this.#consumer);
      this.#consumer.ended.resolve({ kind: 'paused' });
    }
    await this.#running;
  }

  async #start(signal: AbortSignal): Promise<void> {
    const intake = new AbortController();
    setMaxListeners(0, intake.signal);
    this.#intake = intake;
    const attached = deferred();
    const giveUp = () => {
      intake.abort();
      attached.resolve();
    };
    signal.addEventListener('abort', giveUp, { once: true });
    if (signal.aborted) giveUp();
    this.#running = this.#run(intake.signal, () => attached.resolve());
    void this.#rebindWatch?.watch(() => this.isConsuming, intake.signal);
    await attached.promise;
    signal.removeEventListener('abort', giveUp);
  }

  async #stop(): Promise<void> {
    if (this.#options.isSingleActive) await this.#leave();
    await this.pause();
    await this.#consumer?.source.close(this.#context.closeTimeoutMs);
    this.#consumer = undefined;
  }

  /**
   * After a cancel the next consumer would be brought newer messages before the queue has our unsettled ones back. When
   * the channel closes, the queue does both in one step.
   */
  async #leave(): Promise<void> {
    this.#intake.abort();
    this.#consumer?.ended.resolve({ kind: 'paused' });
    await this.#consumer?.source.close(this.#context.closeTimeoutMs);
  }

  async #run(intake: AbortSignal, onAttached: () => void): Promise<void> {
    for (let attempt = 0; !intake.aborted; attempt++) {
      try {
        const consumer = await this.#attach(intake);
        this.#attached();
        onAttached();
        const since = performance.now();
        const end = await this.#watched(consumer);
        consumer.tag = undefined;
        this.#ended(end);
        if (performance.now() - since > STABLE_MS) attempt = -1;
        // The connection has a back-off of its own.
        if (end.kind === 'lost' && !end.error) continue;
      } catch (error) {
        this.#failed(error);
      }
      await sleep(backoffMs(Math.max(0, attempt)), intake);
    }
  }

  async #watched(consumer: Consumer): Promise<ConsumerEnd> {
    const { queue, prefetch, isSingleActive = false } = this.#options;
    const watching = new AbortController();
    const watched = { ...consumer, connection: this.#context.connection, queue, prefetch, isSingleActive };
    void this.#stallWatch.watch(watched, watching.signal);
    const end = await consumer.ended.promise;
    watching.abort();
    return end;
  }

  async #attach(intake: AbortSignal): Promise<Consumer> {
    const { connection, ensureTopology } = this.#context;
    const open = await connection.whenOpen(intake);
    if (this.#needsTopology) await unlessAborted(ensureTopology(), intake);
    this.#needsTopology = false;
    // A consumer that the broker cancelled keeps its channel: what it brought before can be settled only there.
    const consumer = this.#consumer?.source.isOpen ? this.#consumer : await this.#openConsumer(open);
    consumer.ended = deferred();
    this.#consumer = consumer;
    const { ended, channel, source } = consumer;
    source.onClosed = (error) => ended.resolve({ kind: 'lost', error });
    source.onMessage = (delivery) => this.#deliver(delivery);
    const onCancel = () => ended.resolve({ kind: 'cancelled' });
    const { consumerTag } = await answered(connection, open, channel.consume(this.#options.queue, onCancel));
    consumer.tag = consumerTag;
    if (intake.aborted) {
      // `pause` or `stop` came before there was a consumer to end.
      if (this.#options.isSingleActive === true) await source.close(this.#context.closeTimeoutMs);
      else await this.#cancel(consumer);
      ended.resolve({ kind: 'paused' });
    }
    return consumer;
  }

  async #openConsumer(open: OpenConnection): Promise<Consumer> {
    const { connection, stats } = this.#context;
    const channel = await openChannel(connection, open);
    const source = new DeliveryChannel(open.model, channel, this.#options.queue, stats);
    await answered(connection, open, channel.prefetch(this.#options.prefetch));
    return { open, channel, source, tag: undefined, ended: deferred() };
  }

  /** Resolves when no further delivery will come. It fails when the channel goes meanwhile: then nothing comes either. */
  async #cancel(consumer: Consumer): Promise<void> {
    const { tag, open, channel } = consumer;
    if (tag === undefined) return;
    consumer.tag = undefined;
    await answered(this.#context.connection, open, channel.cancel(tag)).catch(() => undefined);
  }

  /** The connection's stack: a throw of the caller's would close it. */
  #deliver(delivery: Delivery): void {
    try {
      this.#options.onDelivery(delivery);
    } catch (error) {
      this.#context.logger.error({ error, queue: this.#options.queue }, 'onDelivery failed; giving the message back');
      delivery.release();
    }
  }

  #attached(): void {
    if (this.#problem === undefined || this.#intake.signal.aborted) return;
    this.#problem = undefined;
    this.#rebindWatch?.reconnected();
    this.#context.stats.resubscribes += 1;
    this.#context.logger.info({ queue: this.#options.queue }, 'consuming again');
  }

  #ended(end: ConsumerEnd): void {
    if (end.kind === 'paused' || this.#intake.signal.aborted) return;
    if (end.kind === 'cancelled') {
      this.#needsTopology = true;
      this.#note('the broker cancelled the consumer: its queue was deleted or moved');
    } else {
      this.#note(end.error ? `the broker closed the channel: ${brokerText(end.error)}` : 'the connection was lost');
    }
  }

  #failed(error: unknown): void {
    if (this.#intake.signal.aborted) return;
    const code = replyCode(error);
    if (code !== undefined) this.#needsTopology = true;
    const { queue } = this.#options;
    this.#note(code === undefined ? brokerText(error) : new QueueUnavailableError(queue, brokerText(error)).message);
  }

  #note(problem: string): void {
    if (problem === this.#problem) return;
    this.#problem = problem;
    this.#context.logger.warn({ queue: this.#options.queue, problem }, 'not consuming; trying again');
  }
}
