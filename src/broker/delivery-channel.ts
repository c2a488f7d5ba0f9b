import { setMaxListeners } from 'node:events';
import type { Channel, ChannelModel } from 'amqplib';
import { AckCoalescer } from './ack-coalescer.ts';
import { closeChannel } from './channels.ts';
import { BrokerDelivery, type DeliverySource } from './delivery.ts';
import { type ChannelFrames, ConnectionFrames } from './frames/connection-frames.ts';
import type { IncomingMessage } from './frames/content.ts';
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
  readonly #frames: ChannelFrames;
  #error: Error | undefined;
  /** Deliveries that it has brought. */
  brought = 0;
  /** Called once, with the broker's error; with undefined when the connection went or we closed the channel. */
  onClosed: (error: Error | undefined) => void = () => undefined;
  /** Called with each delivery. Must not throw. */
  onMessage: (delivery: BrokerDelivery) => void = () => undefined;
  /** Called after each delivery that was settled in time. */
  onSettled: () => void = () => undefined;

  constructor(model: ChannelModel, channel: Channel, queue: string, stats: DeliveryStats) {
    this.#channel = channel;
    this.queue = queue;
    this.#stats = stats;
    this.#acks = new AckCoalescer(
      (tag, isMultiple) => this.#sendAck(tag, isMultiple),
      () => this.#frames.flush(),
    );
    this.#frames = ConnectionFrames.of(model).channel(channel, {
      // What comes after our close is another's: the broker has it back.
      onDelivery: (message) => {
        if (this.isOpen) this.onMessage(this.delivery(message));
      },
    });
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

  delivery(message: IncomingMessage): BrokerDelivery {
    this.#stats.delivered += 1;
    this.brought += 1;
    this.#acks.delivered(message.deliveryTag);
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
    this.#frames.reject(tag);
    this.onSettled();
    return true;
  }

  /** Sends what acks there are, then closes; deliveries without an outcome go back to their queue. */
  async close(timeoutMs: number): Promise<void> {
    this.#acks.flush();
    if (!this.isOpen) return;
    this.#frames.flush();
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
    if (this.isOpen) this.#frames.ack(tag, isMultiple);
  }
}
