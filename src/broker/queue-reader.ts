import type { Channel, Replies } from 'amqplib';
import { QueueUnavailableError } from '../errors.ts';
import type { OpenQueue, QueueReader, Read } from '../message/queue-reader.ts';
import type { Delivery } from '../message/subscriber.ts';
import { sleep } from '../util/sleep.ts';
import { brokerText, replyCode } from './amqp-error.ts';
import { answered, closeChannel, openChannel } from './channels.ts';
import type { BrokerConnection } from './connection.ts';
import type { OpenConnection } from './connection-listener.ts';
import { DeliveryChannel } from './delivery-channel.ts';

/** AMQP's limit: a short. */
const MAX_UNSETTLED = 65_535;

/** Without a message for so long the queue is asked whether there is one. */
const IDLE_MS = 50;

/** RabbitMQ forgets acks of a quorum queue that it still held back when their channel closes. */
const SETTLING_MS = 100;

/** What the broker had sent when it first said that none is left arrives before its second answer. */
const ENOUGH = 2;

/** Looks at a queue that someone reads, or that owes us messages, before it is given up: about 2 s. */
const PATIENCE = 40;

const CLOSE_MS = 5_000;

/**
 * Reads by one consumer that takes all at once. A quorum queue gives back what one consumer holds in its order, but
 * - it keeps each `basic.get` as a consumer of its own, and what several held comes back mixed;
 * - what comes back goes behind all that came back earlier, so that who takes a part of those turns their order round.
 * Both were seen on 3.10. It hands out what it has in one step with the consumer, so there is never a part.
 */
export class BrokerQueueReader implements QueueReader {
  readonly #connection: BrokerConnection;

  constructor(connection: BrokerConnection) {
    this.#connection = connection;
  }

  async open(queue: string): Promise<OpenQueue> {
    const connection = this.#connection;
    const open = connection.current;
    if (!open) throw connection.unavailable('the connection is lost, or not started');
    const channel = await openChannel(connection, open);
    try {
      const waiting = await waitingIn(queue, () => answered(connection, open, channel.checkQueue(queue)));
      const reader = new BrokerOpenQueue({ connection, open, channel, queue, waiting });
      await reader.start();
      return reader;
    } catch (error) {
      closeChannel(channel).catch(() => undefined);
      if (error instanceof QueueUnavailableError) throw error;
      if (replyCode(error) !== undefined) throw new QueueUnavailableError(queue, brokerText(error), { cause: error });
      throw connection.unavailable(brokerText(error), error);
    }
  }
}

/**
 * How many messages wait, when nobody reads. A quorum queue takes `exclusive` and does not keep to it; and one that was
 * closed just now has its messages back a little after its answer.
 */
async function waitingIn(queue: string, check: () => Promise<Replies.AssertQueue>): Promise<number> {
  for (let tries = 0; tries < PATIENCE; tries += 1) {
    const { consumerCount, messageCount } = await check();
    if (consumerCount === 0) return messageCount;
    await sleep(IDLE_MS);
  }
  throw new QueueUnavailableError(queue, 'another consumer reads it at the moment');
}

interface Source {
  readonly connection: BrokerConnection;
  readonly open: OpenConnection;
  readonly channel: Channel;
  readonly queue: string;
  readonly waiting: number;
}

class BrokerOpenQueue implements OpenQueue {
  readonly waiting: number;
  readonly #source: Source;
  readonly #deliveries: DeliveryChannel;
  readonly #stats = { delivered: 0, acked: 0, released: 0, staleSettles: 0 };
  #arrived: (Delivery | undefined)[] = [];
  #read = 0;
  #wake: () => void = () => undefined;
  #end: string | undefined;

  constructor(source: Source) {
    this.#source = source;
    this.waiting = source.waiting;
    this.#deliveries = new DeliveryChannel(source.open.model, source.channel, source.queue, this.#stats);
    this.#deliveries.onMessage = (delivery) => this.#arrive(delivery);
    this.#deliveries.onClosed = (error) => this.#ended(error ? brokerText(error) : 'the connection is lost');
  }

  async start(): Promise<void> {
    const { connection, open, channel, queue } = this.#source;
    await answered(connection, open, channel.prefetch(MAX_UNSETTLED));
    await answered(
      connection,
      open,
      channel.consume(queue, () => this.#cancelled(), { exclusive: true }),
    );
  }

  async next(): Promise<Read> {
    const { connection, open, channel, queue } = this.#source;
    for (let looks = 0; ; ) {
      const delivery = this.#shift();
      if (delivery) return { kind: 'message', delivery };
      if (this.#end !== undefined) throw new QueueUnavailableError(queue, this.#end);
      if (this.#deliveries.unfinished >= MAX_UNSETTLED) return { kind: 'full' };
      await this.#arrival();
      if (this.#arrived.length > 0) continue;
      const answer = await answered(connection, open, channel.checkQueue(queue)).catch(() => undefined);
      looks = answer?.messageCount === 0 && this.#arrived.length === 0 ? looks + 1 : 0;
      // A quorum queue counts what it hands out before it is sent; what expired meanwhile, or was purged, never comes.
      const isShort = this.#stats.delivered < this.waiting;
      if (looks >= (isShort ? PATIENCE : ENOUGH)) return { kind: 'empty' };
    }
  }

  async close(): Promise<void> {
    if (this.#stats.acked > 0 && this.#deliveries.isOpen) await sleep(SETTLING_MS);
    await this.#deliveries.close(CLOSE_MS);
  }

  #shift(): Delivery | undefined {
    const delivery = this.#arrived[this.#read];
    if (delivery) {
      // Its body is the reader's from here on.
      this.#arrived[this.#read] = undefined;
      this.#read += 1;
      return delivery;
    }
    this.#arrived = [];
    this.#read = 0;
    return undefined;
  }

  #arrive(delivery: Delivery): void {
    this.#arrived.push(delivery);
    this.#wake();
  }

  #cancelled(): void {
    this.#end = 'the broker cancelled the consumer';
    this.#wake();
  }

  #ended(reason: string): void {
    this.#end ??= reason;
    this.#wake();
  }

  async #arrival(): Promise<void> {
    const end = new AbortController();
    this.#wake = () => end.abort();
    await sleep(IDLE_MS, end.signal);
    this.#wake = () => undefined;
  }
}
