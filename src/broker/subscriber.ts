import { InvalidArgumentError, QueueUnavailableError } from '../errors.ts';
import { type Logger, silentLogger } from '../lifecycle/logger.ts';
import type { Delivery, SubscribeOptions, Subscriber, Subscription } from '../message/subscriber.ts';
import { brokerText, replyCode } from './amqp-error.ts';
import { answered, closeChannel, openChannel } from './channels.ts';
import type { BrokerConnection } from './connection.ts';
import { DeliveryChannel, type DeliveryStats } from './delivery-channel.ts';
import { plainHeaders } from './frames/plain-headers.ts';
import { REBIND_MS } from './rebind-watch.ts';
import { DEFAULT_STALL_OPTIONS, type StallOptions } from './stall-watch.ts';
import { BrokerSubscription } from './subscription.ts';

export interface BrokerSubscriberOptions {
  /** Not the publisher's: a broker that blocks publishers reads nothing from their connections, acks included. */
  readonly connection: BrokerConnection;
  /** Makes the queue again when it has gone: called before each new attempt until it succeeds. @default nothing */
  readonly ensureTopology?: () => Promise<void>;
  /** Binds the queue again: called after each reconnect, and while it is consumed. @default nothing */
  readonly rebind?: (() => Promise<void>) | undefined;
  /** Longest time from one `rebind` to the next, in ms, ≥ 1. @default REBIND_MS */
  readonly rebindMs?: number;
  /** How long closing a channel may wait for the broker. @default 5_000 */
  readonly closeTimeoutMs?: number;
  /** When a connection that brings nothing is given up. @default DEFAULT_STALL_OPTIONS */
  readonly stall?: StallOptions;
  readonly logger?: Logger;
}

export const DEFAULT_BROKER_SUBSCRIBER_OPTIONS = Object.freeze({
  ensureTopology: () => Promise.resolve(),
  rebind: undefined,
  rebindMs: REBIND_MS,
  closeTimeoutMs: 5_000,
  stall: DEFAULT_STALL_OPTIONS,
  logger: silentLogger,
} satisfies Omit<BrokerSubscriberOptions, 'connection'>);

/** The broker's limit for `basic.qos`: a short. */
const MAX_PREFETCH = 65_535;

/** Since the start of the process. */
export interface SubscriberStats extends DeliveryStats {
  /** Times that a consumer came back after it was cancelled or lost. */
  resubscribes: number;
}

/** Receives, on one connection for all subscriptions, with a channel for each. */
export class BrokerSubscriber implements Subscriber {
  readonly #stats: SubscriberStats = { delivered: 0, acked: 0, released: 0, staleSettles: 0, resubscribes: 0 };
  readonly #options: Required<BrokerSubscriberOptions>;

  constructor(options: BrokerSubscriberOptions) {
    this.#options = { ...DEFAULT_BROKER_SUBSCRIBER_OPTIONS, ...options };
  }

  get stats(): Readonly<SubscriberStats> {
    return this.#stats;
  }

  /** @throws InvalidArgumentError (SVC_COMM_INVALID_ARGUMENT) for a prefetch that AMQP cannot carry, or without limit */
  subscribe(options: SubscribeOptions): Subscription {
    const { prefetch } = options;
    if (!Number.isInteger(prefetch) || prefetch < 1 || prefetch > MAX_PREFETCH) {
      throw new InvalidArgumentError('prefetch', `a whole number, 1 to ${MAX_PREFETCH}`, String(prefetch));
    }
    return new BrokerSubscription(options, { ...this.#options, stats: this.#stats });
  }

  /**
   * The channel closes with the delivery's `ack` or `release`.
   * @throws QueueUnavailableError (SVC_COMM_QUEUE_UNAVAILABLE), BrokerUnavailableError (SVC_COMM_BROKER_UNAVAILABLE)
   */
  async take(queue: string): Promise<Delivery | undefined> {
    const { connection, closeTimeoutMs } = this.#options;
    const open = connection.current;
    if (!open) throw connection.unavailable('the connection is lost, or not started');
    try {
      const channel = await openChannel(connection, open);
      const message = await answered(connection, open, channel.get(queue));
      if (message === false) {
        closeChannel(channel).catch(() => undefined);
        return undefined;
      }
      const source = new DeliveryChannel(open.model, channel, queue, this.#stats);
      source.onSettled = () => void source.close(closeTimeoutMs);
      const { fields, properties, content } = message;
      const headers = plainHeaders(properties.headers);
      return source.delivery({ ...fields, properties: { ...properties, headers }, body: content });
    } catch (error) {
      if (replyCode(error) !== undefined) throw new QueueUnavailableError(queue, brokerText(error), { cause: error });
      throw connection.unavailable(brokerText(error), error);
    }
  }
}
