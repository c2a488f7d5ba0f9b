import type { Service } from '../lifecycle/service.ts';
import type { MessageProperties } from './message.ts';

/**
 * A message as it came. Settle it once: `ack` or `release`. When its channel has gone meanwhile, both send nothing
 * (the broker has already given the message back to the queue) and return false.
 */
export interface Delivery {
  readonly queue: string;
  readonly exchange: string;
  readonly routingKey: string;
  readonly redelivered: boolean;
  readonly body: Buffer;
  readonly properties: MessageProperties;
  /** Aborts when the channel of this delivery is lost: whatever is done from then on is done by another copy too. */
  readonly lost: AbortSignal;
  /** Done with: the broker forgets it. */
  ack(): boolean;
  /** Given back to the queue unfinished (`basic.reject` with requeue). Only on shutdown or when infrastructure failed. */
  release(): boolean;
}

export interface SubscribeOptions {
  readonly queue: string;
  /** Most deliveries that may be unsettled at once, ≥ 1. */
  readonly prefetch: number;
  /**
   * The queue has `x-single-active-consumer`: `stop` must not let the next consumer begin before the queue has back what
   * is unsettled here. @default false
   */
  readonly isSingleActive?: boolean;
  /** Called for each delivery, outside the client library's stack. Must not throw. */
  readonly onDelivery: (delivery: Delivery) => void;
}

/**
 * One consumer on one queue. `start` resolves when the broker has accepted it (waiting for connection and queue);
 * it comes back by itself after a lost connection, a closed channel, or a cancel by the broker.
 * `stop`: no more deliveries, outstanding acks flushed, channel closed.
 */
export interface Subscription extends Service {
  /** Whether the broker delivers to us at the moment. */
  readonly isConsuming: boolean;
  /** Stops the intake only: resolves when no further delivery will come; acks still go through. First step of a drain. */
  pause(): Promise<void>;
}

export interface Subscriber {
  subscribe(options: SubscribeOptions): Subscription;
  /** Takes one message by `basic.get` on a channel of its own; undefined when the queue is empty. */
  take(queue: string): Promise<Delivery | undefined>;
}
