import { setMaxListeners } from 'node:events';
import type { Channel, Message } from 'amqplib';
import { AckCoalescer } from './ack-coalescer.ts';
import { closeChannel } from './channels.ts';
import { BrokerDelivery, type DeliverySource } from './delivery.ts';
import { within } from './within.ts';

/** Since the start of the process. */
export interface DeliveryStats {
  delivered: number;
  acked: number;
  released: number;
  /** Settled after their channel had gone: no frame was sent, the broker delivers them again. */
  staleSettles: number;
}

/** A channel that brings deliveries, until it closes. */
export class DeliveryChannel implements DeliverySource {
  readonly queue: string;
  readonly #channel: Channel;
  readonly #acks: AckCoalescer;
  readonly #stats: DeliveryStats;
  readonly #lost = new AbortController();
  readonly #ticket = emptyTicket();
  #error: Error | undefined;
  /** Deliveries that it has brought. */
  brought = 0;
  /** Called once, with the broker's error; with undefined when the connection went or we closed the channel. */
  onClosed: (error: Error | undefined) => void = () => undefined;
  /** Called after each delivery that was settled in time. */
  onSettled: () => void = () => undefined;

  constructor(channel: Channel, queue: string, stats: DeliveryStats) {
    this.#channel = channel;
    this.queue = queue;
    this.#stats = stats;
    this.#acks = new AckCoalescer((tag, isMultiple) => this.#sendAck(tag, isMultiple));
    // All deliveries of the channel share it: one listener for each handler that runs.
    setMaxListeners(0, this.#lost.signal);
    channel.on('error', (error: Error) => {
      this.#error = error;
    });
    channel.on('close', () => {
      this.#lost.abort();
      this.onClosed(this.#error);
    });
  }

  /** Aborts when the channel closes. */
  get lost(): AbortSignal {
    return this.#lost.signal;
  }

  get isOpen(): boolean {
    return !this.#lost.signal.aborted;
  }

  get unfinished(): number {
    return this.#acks.unfinished;
  }

  delivery(message: Message): BrokerDelivery {
    this.#stats.delivered += 1;
    this.brought += 1;
    this.#acks.delivered(message.fields.deliveryTag);
    return new BrokerDelivery(this, message);
  }

  ack(tag: number): boolean {
    if (!this.isOpen) return this.#stale();
    if (!this.#acks.finished(tag)) return false;
    this.#stats.acked += 1;
    this.onSettled();
    return true;
  }

  release(tag: number): boolean {
    if (!this.isOpen) return this.#stale();
    if (!this.#acks.rejected(tag)) return false;
    this.#stats.released += 1;
    // `reject`, not `nack`: from RabbitMQ 4.3 the latter no longer counts as a failed delivery on quorum queues.
    this.#attempt(() => this.#channel.reject(this.#ticketFor(tag), true));
    this.onSettled();
    return true;
  }

  /** Sends what acks there are, then closes; deliveries without an outcome go back to their queue. */
  async close(timeoutMs: number): Promise<void> {
    this.#acks.flush();
    if (!this.isOpen) return;
    // Deliveries are lost from here on, not from the broker's answer: an ack behind the close would be an error.
    const closing = closeChannel(this.#channel);
    this.#lost.abort();
    await within(timeoutMs, closing, () => new Error('no close-ok')).catch(() => undefined);
  }

  #stale(): false {
    this.#stats.staleSettles += 1;
    return false;
  }

  #sendAck(tag: number, isMultiple: boolean): void {
    if (this.isOpen) this.#attempt(() => this.#channel.ack(this.#ticketFor(tag), isMultiple));
  }

  /** A channel that closes in this very turn throws; what it brought is delivered again. */
  #attempt(send: () => void): void {
    try {
      send();
    } catch {
      this.#stats.staleSettles += 1;
    }
  }

  #ticketFor(tag: number): Message {
    this.#ticket.fields.deliveryTag = tag;
    return this.#ticket;
  }
}

/** amqplib settles messages, not tags; of the message it reads the tag alone. */
function emptyTicket(): Message {
  const nothing = undefined;
  return {
    content: Buffer.alloc(0),
    fields: { deliveryTag: 0, redelivered: false, exchange: '', routingKey: '' },
    properties: {
      contentType: nothing,
      contentEncoding: nothing,
      headers: nothing,
      deliveryMode: nothing,
      priority: nothing,
      correlationId: nothing,
      replyTo: nothing,
      expiration: nothing,
      messageId: nothing,
      timestamp: nothing,
      type: nothing,
      userId: nothing,
      appId: nothing,
      clusterId: nothing,
    },
  };
}
